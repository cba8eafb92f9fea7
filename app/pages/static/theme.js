// The theme: as the system has it, or as it was chosen here last. Runs before the first paint.
(() => {
  "use strict";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let here; // what was chosen on this page, also where nothing can be kept
  const chosen = () => {
    if (here !== undefined) return here;
    try { return localStorage.getItem("turnpike-theme"); } catch { return null; }
  };
  const theme = () => chosen() || (system.matches ? "dark" : "light");

  function show() {
    root.dataset.theme = theme();
    const button = document.getElementById("theme");
    if (button) {
      button.hidden = false;
      button.setAttribute("aria-pressed", String(theme() === "dark"));
    }
    document.dispatchEvent(new Event("turnpike:theme"));
  }

  function choose() {
    const other = theme() === "dark" ? "light" : "dark";
    here = other === (system.matches ? "dark" : "light") ? null : other;
    show();
    try {
      if (here === null) localStorage.removeItem("turnpike-theme");
      else localStorage.setItem("turnpike-theme", other);
    } catch { return; }
  }

  root.dataset.theme = theme();
  system.addEventListener("change", show);
  document.addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme")?.addEventListener("click", choose);
  });
})();
