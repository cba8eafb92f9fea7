// How dollars, shares and moments are written where the browser writes them.
(() => {
  "use strict";
  const dollars = (usd) => {
    if (usd === 0) return "$0";
    const places = Math.min(12, Math.max(2, 1 - Math.floor(Math.log10(Math.abs(usd)))));
    return "$" + usd.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: places });
  };
  const written = {
    usd: dollars,
    count: (n) => n.toLocaleString("en", { maximumFractionDigits: 1 }),
    share: (s) => `${Math.round(100 * s)} %`,
  };
  const decimals = (step) => (String(step).split(".")[1] ?? "").length;
  const brief = (unit) => (_, splits) => splits.map((v) => (v === null ? "" : unit === "usd" ? shortDollars(v) : written[unit](v)));
  const shortDollars = (usd) => (usd === 0 ? "$0" : usd >= 1 ? `$${Number(usd.toPrecision(3)).toLocaleString("en")}` : usd >= 1e-6 ? `$${Number(usd.toPrecision(2))}` : dollars(usd));
  const moment = (s) => new Date(1000 * s).toLocaleString("en-GB", { timeZone: "UTC", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

  const clock = { hour: "2-digit", minute: "2-digit" };
  const day = { day: "numeric", month: "short" };
  const times = (_, splits, __, ___, step) => splits.map((s) => {
    const at = new Date(1000 * s);
    const midnight = s % 86400 === 0;
    return at.toLocaleString("en-GB", { timeZone: "UTC", ...(step >= 86400 || midnight ? day : clock) });
  });

  window.turnpike = { brief, decimals, dollars, moment, shortDollars, times, written };
})();
