// Pages that keep up by themselves: every few seconds the page is fetched again, and the parts of it
// that have changed take the place of the old ones. Nothing is fetched while nobody looks.
(() => {
  "use strict";
  const EVERY_MS = 5000;
  const parts = (page) => new Map([...page.querySelectorAll("[data-region]")].map((each) => [each.id, each]));
  const said = new Map();
  let timer = null;
  let busy = false;

  function pulse(words, live) {
    const place = document.getElementById("pulse");
    if (!place) return;
    place.hidden = false;
    place.classList.toggle("off", !live);
    place.querySelector("b").textContent = words;
  }

  const scrolling = (region) => [region, ...region.querySelectorAll(".scroll")];

  function take(old, fresh) {
    if (old.contains(document.activeElement) || old.querySelector("[data-moved]")) return false;
    const open = [...old.querySelectorAll("details")].map((each) => each.open);
    fresh.querySelectorAll("details").forEach((each, i) => { each.open = Boolean(open[i]); });
    // A chart keeps its place, with what is named below it, and is drawn anew from the new data.
    fresh.querySelectorAll("[data-chart]").forEach((each) => {
      const drawn = document.getElementById(each.id);
      if (!drawn) return;
      drawn.dataset.chart = each.dataset.chart;
      drawn.setAttribute("aria-label", each.getAttribute("aria-label"));
      each.replaceWith(drawn);
      const legend = document.getElementById(`${drawn.id}-legend`);
      if (legend) fresh.querySelector(`#${legend.id}`).replaceWith(legend);
    });
    const scrolled = scrolling(old).map((each) => [each.scrollLeft, each.scrollTop]);
    old.replaceWith(fresh);
    scrolling(fresh).forEach((each, i) => { [each.scrollLeft, each.scrollTop] = scrolled[i] ?? [0, 0]; });
    if (fresh.querySelector("#pay")) slider();
    return true;
  }

  function update(text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    const [here, there] = [parts(document), parts(page)];
    if ([...here.keys()].join() !== [...there.keys()].join()) {
      location.reload();
      return;
    }
    for (const [id, fresh] of there) {
      const source = fresh.outerHTML;
      if (said.get(id) !== source && take(here.get(id), document.importNode(fresh, true))) said.set(id, source);
    }
    window.turnpike.charts();
  }

  async function look() {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
      if (answer.redirected) { location.reload(); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      update(await answer.text());
      pulse("Live", true);
    } catch {
      pulse("No answer; trying again", false);
    } finally {
      busy = false;
    }
  }

  function begin() {
    if (!document.querySelector("main[data-live]")) return;
    parts(document).forEach((each, id) => said.set(id, each.outerHTML));
    const rest = () => {
      clearInterval(timer);
      if (document.hidden) { pulse("Paused", false); return; }
      pulse("Live", true);
      timer = setInterval(look, EVERY_MS);
    };
    document.addEventListener("visibilitychange", () => { rest(); look(); });
    rest();
  }

  // The slider asks what another price of a thumb would do; the last question asked is the one shown.
  function slider() {
    const input = document.getElementById("pay");
    if (!input) return;
    const told = document.getElementById("pay-told");
    const shares = document.querySelector("[data-shares]");
    let asked = 0;
    let wait = null;
    const show = (found) => {
      told.querySelector("[data-says]").textContent = found.says;
      told.querySelector("[data-cost]").textContent = window.turnpike.dollars(found.cost_usd_per_request);
      told.querySelector("[data-quality]").textContent = found.quality.toFixed(3);
      told.querySelector("[data-month]").textContent = found.a_month;
      shares.replaceChildren(...found.shares.slice(0, 6).map(({ arm, share, colour }) => {
        const row = document.createElement("li");
        const name = document.createElement("span");
        const dot = document.createElement("i");
        const much = document.createElement("span");
        name.className = `arm ${colour}`;
        name.append(dot, arm);
        much.textContent = share >= 0.01 ? `${Math.round(100 * share)} %` : "<1 %";
        row.append(name, much);
        return row;
      }));
      window.turnpike.mark("frontier", [found.cost_usd_per_request, found.quality]);
    };
    const showNone = () => {
      told.querySelector("[data-says]").textContent = "No answer.";
      told.querySelectorAll("dd").forEach((each) => { each.textContent = "–"; });
      told.querySelector("[data-month]").textContent = "";
      shares.replaceChildren();
      window.turnpike.mark("frontier", null);
    };
    const ask = async () => {
      const mine = ++asked;
      let found = null;
      try {
        const answer = await fetch(`${input.dataset.ask}?pay=${10 ** Number(input.value)}`, { redirect: "error" });
        if (answer.ok) found = await answer.json();
      } catch { found = null; }
      if (mine === asked) (found ? show : showNone)(found);
    };
    input.addEventListener("input", () => {
      input.dataset.moved = "";
      const usd = window.turnpike.dollars(10 ** Number(input.value));
      document.getElementById("pay-says").textContent = usd;
      input.setAttribute("aria-valuetext", `${usd} for one more thumbs-up`);
      clearTimeout(wait);
      wait = setTimeout(ask, 60);
    });
  }

  // What takes seconds to find out comes after the page.
  async function late() {
    const place = document.querySelector("[data-fetch]");
    if (!place) return;
    const answer = await fetch(place.dataset.fetch);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    place.replaceChildren(...document.importNode(page.getElementById("found"), true).childNodes);
  }

  // What takes long is sent once, and says that it is under way.
  function once() {
    const form = document.querySelector("form[data-once]");
    form?.addEventListener("submit", (sent) => {
      if (form.dataset.sent !== undefined) { sent.preventDefault(); return; }
      form.dataset.sent = "";
      form.querySelector("[role=status]").textContent = form.dataset.once;
    });
  }

  document.addEventListener("DOMContentLoaded", () => { begin(); slider(); late(); once(); });
})();
