/* The chart of open, new and fixed issues over runs. The same numbers stand in a table below it. */
"use strict";
(() => {
  const host = document.querySelector("[data-trend]");
  const points = JSON.parse(document.getElementById(host.dataset.trend).textContent);
  const colour = (name) => {
    // Canvas knows no light-dark(): the browser resolves it on an element first.
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    host.append(probe);
    const resolved = getComputedStyle(probe).color;
    probe.remove();
    return resolved;
  };
  // Side by side: new before the run's place on the axis, fixed after it.
  const before = uPlot.paths.bars({ size: [0.3, 16], align: -1 });
  const after = uPlot.paths.bars({ size: [0.3, 16], align: 1 });
  const numbers = new Intl.NumberFormat(document.documentElement.lang);
  // Without a pointer over the chart the legend tells the last run's numbers.
  const last = (plot, value, series) => value ?? plot.data[series].at(-1);
  const shown = (plot, value, series) => numbers.format(last(plot, value, series));
  const HEIGHT = 236;
  let chart = null;

  const options = () => {
    const grid = { stroke: colour("--line"), width: 1 };
    const axis = { stroke: colour("--ink-soft"), grid, ticks: grid, font: "12px Inter, sans-serif" };
    const accent = colour("--accent");
    return {
      width: host.clientWidth,
      height: HEIGHT,
      cursor: { drag: { x: false, y: false } },
      scales: { x: { time: false, range: (_u, low, high) => [low - 0.6, high + 0.6] } },
      axes: [
        { ...axis, incrs: [1, 2, 5, 10, 20, 50, 100], values: (_u, at) => at.map((n) => (Number.isInteger(n) ? `#${n}` : "")) },
        { ...axis, size: 56, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000], values: (_u, at) => at.map((n) => numbers.format(n)) },
      ],
      series: [
        { label: host.dataset.run, value: (plot, value, series) => `#${last(plot, value, series)}` },
        { label: host.dataset.open, stroke: accent, width: 2, fill: colour("--accent-soft"), points: { show: points.sequence.length < 40, size: 6, fill: accent }, value: shown },
        { label: host.dataset.new, stroke: colour("--high"), fill: colour("--high"), paths: before, points: { show: false }, value: shown },
        { label: host.dataset.fixed, stroke: colour("--low"), fill: colour("--low"), paths: after, points: { show: false }, value: shown },
      ],
    };
  };

  const draw = () => {
    chart?.destroy();
    chart = new uPlot(options(), [points.sequence, points.open, points.new, points.fixed], host);
  };

  draw();
  document.addEventListener("odavl:theme", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(() => {
    if (chart && chart.width !== host.clientWidth) {
      chart.setSize({ width: host.clientWidth, height: HEIGHT });
    }
  }).observe(host);
})();
