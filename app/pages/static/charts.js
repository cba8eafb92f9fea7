// The charts, drawn with uPlot from the data that each place for one carries. Every chart is told as
// a table on the page too, so what is drawn here is never the only way to read it.
(() => {
  "use strict";
  const drawn = new Map();
  const probe = document.head.appendChild(document.createElement("i"));
  // A colour of the page as the canvas takes it: `light-dark()` is settled where it is used. Those of
  // arms tell them apart, as in the legend, also where a system forces its own on the rest.
  const css = (name) => {
    probe.style.forcedColorAdjust = /^c\d$/.test(name) ? "none" : "auto";
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const faded = (colour, share) => `color-mix(in srgb, ${colour} ${share}%, transparent)`;

  const { brief, decimals, moment, shortDollars, times, written } = window.turnpike;

  // As wide as the widest label: an amount of few dollars has many places.
  function widest(plot, labels, axis) {
    plot.ctx.font = plot.axes[axis].font[0];
    const widths = (labels ?? []).map((text) => plot.ctx.measureText(text).width);
    return 12 + Math.ceil(Math.max(0, ...widths) / (devicePixelRatio || 1));
  }

  function axes(unit, more = {}) {
    const line = { stroke: css("line"), width: 1 };
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const plain = { stroke: css("soft"), font, grid: line, ticks: { show: false } };
    return [
      { ...plain, grid: { show: false }, size: 30, space: 60, values: times, ...more.x },
      { ...plain, size: widest, space: 38, values: brief(unit), ...more.y },
    ];
  }

  function stack(chart) {
    const upto = chart.series.map((_, i) =>
      chart.x.map((_, j) => chart.series.slice(0, i + 1).reduce((sum, each) => sum + each.values[j], 0) || null));
    // The whole stack is drawn first and each lower part over it.
    const order = chart.series.map((_, i) => i).reverse();
    const bars = uPlot.paths.bars({ size: [0.82, 64], align: 1 });
    const top = chart.unit === "share" ? [0, 1] : (_, __, max) => [0, max > 0 ? 1.06 * max : 1];
    return {
      data: [chart.x, ...order.map((i) => upto[i])],
      options: {
        scales: { x: { time: true, range: [chart.x[0], chart.x[chart.x.length - 1] + chart.step_s] }, y: { range: top } },
        axes: axes(chart.unit),
        series: [{}, ...order.map((i) => {
          const colour = css(chart.series[i].colour);
          return { label: chart.series[i].name, fill: colour, stroke: css("card"), width: 1, paths: bars, points: { show: false } };
        })],
      },
      tip: (j) => [
        `from ${moment(chart.x[j])}`,
        chart.series.some((each) => each.values[j] === null)
          ? [["no requests", ""]]
          : chart.series.map((each) => [each.name, written[chart.unit](each.values[j])]),
      ],
    };
  }

  function band(chart) {
    const colour = css(chart.series[0].colour);
    const [mean, low, high] = chart.series.map((each) => each.values);
    const middle = chart.x.map((x) => x + chart.step_s / 2);
    const lowest = Math.min(...low.filter((v) => v !== null), 1);
    const floor = Math.max(0, Math.floor(10 * (lowest - 0.05)) / 10);
    return {
      data: [middle, mean, high, low],
      options: {
        scales: { x: { time: true, range: [chart.x[0], chart.x[chart.x.length - 1] + chart.step_s] }, y: { range: [floor, 1] } },
        axes: axes(chart.unit),
        bands: [{ series: [2, 3], fill: faded(colour, 14) }],
        hooks: { drawClear: [(plot) => whiskers(plot, middle, low, high, faded(colour, 55))] },
        series: [
          {},
          { label: "satisfied", stroke: colour, width: 2, points: { show: true, size: 7, fill: colour } },
          { stroke: "transparent", points: { show: false } },
          { stroke: "transparent", points: { show: false } },
        ],
      },
      tip: (j) => mean[j] === null
        ? [`from ${moment(chart.x[j])}`, [["nothing rated", ""]]]
        : [`from ${moment(chart.x[j])}`, [["satisfied", written.share(mean[j])], ["95 % interval", `${written.share(low[j])} to ${written.share(high[j])}`]]],
    };
  }

  function whiskers(plot, middle, low, high, colour) {
    const { ctx } = plot;
    ctx.save();
    ctx.strokeStyle = colour;
    ctx.lineWidth = 2 * (devicePixelRatio || 1);
    middle.forEach((x, j) => {
      if (low[j] === null) return;
      const at = plot.valToPos(x, "x", true);
      ctx.beginPath();
      ctx.moveTo(at, plot.valToPos(low[j], "y", true));
      ctx.lineTo(at, plot.valToPos(high[j], "y", true));
      ctx.stroke();
    });
    ctx.restore();
  }

  // 1, 2 and 5 of each power of ten. uPlot's own ticks never end where the first rounds past a power.
  function round(_, __, low, high) {
    const powers = Array.from({ length: Math.ceil(Math.log10(high / low)) + 1 }, (_, i) => Math.floor(Math.log10(low)) + i);
    return powers.flatMap((power) => [1, 2, 5].map((digit) => Number(`${digit}e${power}`))).filter((usd) => low <= usd && usd <= high);
  }

  // Of these what leaves room for the one before.
  function apart(plot, ticks) {
    let before = -Infinity;
    return ticks.map((usd) => {
      const at = plot.valToPos(usd, "x");
      if (at - before < 64) return null;
      before = at;
      return usd;
    });
  }

  function frontier(chart) {
    const alone = [...chart.arms].sort((a, b) => a.at[0] - b.at[0]);
    const curve = chart.curve.filter((each, i) => i === 0 || each[0] !== chart.curve[i - 1][0]);
    // What is free has no place on a scale of magnitudes: it stands at the power of ten below the rest.
    const paid = [...curve.map((p) => p[0]), ...alone.map((a) => a.at[0])].filter(Boolean);
    const floor = Number(`1e${Math.floor(Math.log10(paid.length ? Math.min(...paid) / 2 : 1e-6))}`);
    const xs = [...new Set([...curve, ...alone.map((a) => a.at)].map((p) => p[0] || floor))].sort((a, b) => a - b);
    const at = new Map(curve.map(([usd, quality]) => [usd || floor, quality]));
    const ys = [...curve.map((p) => p[1]), ...alone.map((a) => a.at[1])];
    const [low, high] = [Math.min(...ys), Math.max(...ys)];
    const room = Math.max(0.15 * (high - low), 0.01);
    const ends = [xs[0] / 1.5, xs[xs.length - 1] * 1.9];
    return {
      data: [xs, xs.map((x) => at.get(x) ?? null)],
      options: {
        scales: { x: { time: false, distr: 3, range: ends }, y: { range: [low - room, high + room] } },
        axes: axes("count", {
          x: { size: 44, space: 60, values: (_, splits) => splits.map((v) => (v === null ? "" : shortDollars(v < 1.01 * floor ? 0 : v))), label: "dollars a request", labelSize: 18, labelFont: `12px ${getComputedStyle(document.body).fontFamily}`, grid: { show: true, stroke: css("line"), width: 1 }, splits: round, filter: apart },
          y: { values: (_, splits, __, ___, step) => splits.map((v) => v.toFixed(Math.max(2, decimals(step)))), size: 48 },
        }),
        series: [{}, { stroke: css("accent"), width: 2, spanGaps: true, points: { show: false } }],
        hooks: { draw: [(plot) => places(plot, chart, alone, floor)] },
      },
    };
  }

  function places(plot, chart, alone, floor) {
    const { ctx } = plot;
    const at = (point) => [plot.valToPos(Math.max(point[0], floor), "x", true), plot.valToPos(point[1], "y", true)];
    const scale = devicePixelRatio || 1;
    const disc = (point, size, colour, ring) => {
      const [x, y] = at(point);
      ctx.beginPath();
      ctx.arc(x, y, size * scale, 0, 2 * Math.PI);
      ctx.fillStyle = colour;
      ctx.fill();
      if (ring) { ctx.lineWidth = 2 * scale; ctx.strokeStyle = ring; ctx.stroke(); }
    };
    ctx.save();
    ctx.font = `${12 * scale}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    // From the dot of another a name keeps twice as far as from its own.
    const around = ([x, y]) => ({ left: x - 18 * scale, right: x + 18 * scale, top: y - 8 * scale, bottom: y + 8 * scale });
    const dots = [...alone.map((each) => each.at), ...(chart.now ? [chart.now] : [])].map((point) => ({ point, ...around(at(point)) }));
    const names = [];
    // The curve in steps of four pixels: no name stands where it runs.
    const curve = chart.curve.map(at).flatMap(([x, y], i, all) => {
      const [a, b] = all[i - 1] ?? [x, y];
      const steps = Math.ceil(Math.hypot(x - a, y - b) / (4 * scale)) || 1;
      return Array.from({ length: steps }, (_, j) => [a + (x - a) * (j + 1) / steps, b + (y - b) * (j + 1) / steps]);
    });
    const { left: start, top, width: wide, height: high } = plot.bbox;
    const isFree = (box, own) => box.left >= start && box.right <= start + wide && box.top >= top && box.bottom <= top + high
      && !curve.some(([x, y]) => box.left < x && x < box.right && box.top < y && y < box.bottom)
      && ![...names, ...dots.filter((dot) => dot.point !== own)].some((b) => b.left < box.right && box.left < b.right && b.top < box.bottom && box.top < b.bottom);
    const rest = alone.filter((each) => {
      disc(each.at, 5, css(each.colour));
      const [x, y] = at(each.at);
      const width = ctx.measureText(each.name).width;
      // A name stands at its own height beside its dot, or nobody could tell whose it is.
      const box = [x + 9 * scale, x - 9 * scale - width]
        .map((left) => ({ left, right: left + width, top: y - 7 * scale, bottom: y + 7 * scale })).find((place) => isFree(place, each.at));
      if (!box) return true;
      names.push(box);
      ctx.fillStyle = css("ink");
      ctx.fillText(each.name, box.left, y);
      return false;
    });
    named(document.getElementById("frontier-legend"), rest);
    if (chart.now) disc(chart.now, 7, css("accent"), css("card"));
    if (plot.moved) disc(plot.moved, 7, css("card"), css("accent"));
    ctx.restore();
  }

  // Those that have no room beside their dots are named below, with their colours.
  function named(legend, arms) {
    legend.replaceChildren(...arms.map((each) => {
      const [item, arm] = [document.createElement("li"), document.createElement("span")];
      arm.className = `arm ${each.colour}`;
      arm.append(document.createElement("i"), each.name);
      item.append(arm);
      return item;
    }));
  }

  const kinds = { stack, band, frontier };

  function tooltip(place, plot, tell) {
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    plot.over.append(tip);
    return () => {
      const { idx, left, top } = plot.cursor;
      tip.hidden = idx === null || idx === undefined || left < 0;
      if (tip.hidden) return;
      const [head, rows] = tell(idx);
      const title = document.createElement("b");
      title.textContent = head;
      tip.replaceChildren(title, ...rows.map(([name, value]) => {
        const row = document.createElement("div");
        const [one, two] = [document.createElement("span"), document.createElement("span")];
        one.textContent = name;
        two.textContent = value;
        row.append(one, two);
        return row;
      }));
      const over = plot.over.getBoundingClientRect();
      const x = left + 14 + tip.offsetWidth > over.width ? left - 14 - tip.offsetWidth : left + 14;
      tip.style.transform = `translate(${Math.max(0, x)}px, ${Math.min(top, Math.max(0, over.height - tip.offsetHeight))}px)`;
    };
  }

  function draw(place) {
    const chart = JSON.parse(place.dataset.chart);
    const old = drawn.get(place);
    const moved = old?.plot?.moved;
    old?.plot?.destroy();
    const empty = chart.kind === "frontier" ? !chart.curve.length : !chart.series.some((each) => each.values.some(Boolean));
    place.replaceChildren();
    if (empty) {
      const none = document.createElement("p");
      none.className = "none-drawn";
      none.textContent = "Nothing in this span of time.";
      place.append(none);
      drawn.set(place, { source: place.dataset.chart });
      return;
    }
    const { data, options, tip } = kinds[chart.kind](chart);
    const plot = new uPlot({
      width: place.clientWidth, height: place.clientHeight, legend: { show: false },
      tzDate: (s) => uPlot.tzDate(new Date(1000 * s), "Etc/UTC"),
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false }, show: Boolean(tip) },
      ...options,
    }, data, place);
    plot.moved = moved;
    if (tip) {
      const move = tooltip(place, plot, tip);
      (plot.hooks.setCursor ||= []).push(move);
    }
    if (moved) plot.redraw(false);
    drawn.set(place, { plot, source: place.dataset.chart, width: place.clientWidth });
  }

  function all() {
    for (const place of drawn.keys()) {
      if (!place.isConnected) { drawn.get(place).plot?.destroy(); drawn.delete(place); }
    }
    document.querySelectorAll("[data-chart]").forEach((place) => {
      const known = drawn.get(place);
      if (!known || known.source !== place.dataset.chart) draw(place);
      sizes.observe(place);
    });
  }

  const sizes = new ResizeObserver((changes) => {
    for (const { target } of changes) {
      const known = drawn.get(target);
      if (known?.plot && target.clientWidth && known.width !== target.clientWidth) {
        known.width = target.clientWidth;
        known.plot.setSize({ width: target.clientWidth, height: target.clientHeight });
      }
    }
  });

  Object.assign(window.turnpike, {
    charts: all,
    mark(id, point) {
      const plot = drawn.get(document.getElementById(id))?.plot;
      if (plot) { plot.moved = point; plot.redraw(false); }
    },
  });
  document.addEventListener("turnpike:theme", () => document.querySelectorAll("[data-chart]").forEach(draw));
  document.addEventListener("DOMContentLoaded", all);
})();
