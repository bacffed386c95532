// Draws what `ui.chart` describes, on canvas by uPlot. A file of its own, which parts.js fetches when a page has a chart.
// One cursor runs through all charts of a page; marks are the deployments and other events of the time shown.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import "../css/uplot.css";

/** @typedef {{ times: number[], series: { label: string, values: (number | null)[] }[], marks: { at: number, label: string }[], unit: string, kind: string }} Chart */

/** @type {Map<HTMLElement, { plot: uPlot, chart: Chart }>} */
const drawn = new Map();
const units = ["", "k", "M", "G", "T"];

/** @param {number} value */
function short(value) {
  if (Math.abs(value) < 1000) return String(Math.round(value * 100) / 100);
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.abs(value)) / 3));
  return `${Math.round(value / 1000 ** power * 10) / 10}${units[power]}`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

/** @type {(plot: uPlot, ticks: number[], axis: number, space: number, step: number) => string[]} */
const showTimes = (_plot, ticks, _axis, _space, step) => ticks.map((tick) => (step < 86_400 ? clock : day).format(tick * 1000));

/** @param {Chart} chart */
const reading = (chart) => (/** @type {unknown} */ _plot, /** @type {number | null} */ value) =>
  value === null || value === undefined ? "–" : `${short(value)}${chart.unit && ` ${chart.unit}`}`;

/**
 * @param {HTMLElement} figure
 * @param {Chart} chart
 */
function optionsOf(figure, chart) {
  const style = getComputedStyle(figure);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const font = `${style.fontSize} ${style.fontFamily}`;
  const axis = { stroke: colour("--ink-muted"), font, grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  return {
    width: figure.clientWidth,
    height: Number(figure.dataset.height),
    cursor: { sync: { key: "orca" }, points: { size: 7 }, drag: { x: false, y: false } },
    scales: { y: { range: rangeOf } },
    axes: [{ ...axis, space: 70, values: showTimes }, { ...axis, size: 52, values: (/** @type {uPlot} */ _plot, /** @type {number[]} */ ticks) => ticks.map(short) }],
    series: [{ label: "Time", value: (/** @type {uPlot} */ _plot, /** @type {number | null} */ at) => at ? `${day.format(at * 1000)} ${clock.format(at * 1000)}` : "–" }, ...chart.series.map(({ label }, index) => seriesOf(chart, label, colour(`--chart-${index % 8 + 1}`)))],
    hooks: { draw: [(/** @type {uPlot} */ plot) => drawMarks(plot, chart, colour("--busy"))] },
  };
}

/** @type {(plot: uPlot, low: number | null, high: number | null) => [number, number]} */
const rangeOf = (_plot, low, high) => [Math.min(0, low ?? 0), (high ?? 0) > 0 ? Number(high) * 1.1 : 1];

/**
 * @param {Chart} chart
 * @param {string} label
 * @param {string} stroke
 */
function seriesOf(chart, label, stroke) {
  const bars = chart.kind === "bars";
  const fill = `color-mix(in oklab, ${stroke} ${bars ? 75 : 14}%, transparent)`;
  const shape = bars ? { paths: uPlot.paths.bars?.({ size: [0.7, 24] }), points: { show: false } } : {};
  return { label, stroke, width: bars ? 0 : 1.75, fill: chart.kind === "line" ? undefined : fill, value: reading(chart), ...shape };
}

/**
 * @param {uPlot} plot
 * @param {Chart} chart
 * @param {string} colour
 */
function drawMarks(plot, chart, colour) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  for (const { at } of chart.marks) {
    const x = Math.round(plot.valToPos(at, "x", true)) + 0.5;
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.beginPath();
    ctx.arc(x, bbox.top, 3 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.fill();
  }
  ctx.restore();
}

/** @param {HTMLElement} figure */
function draw(figure) {
  const place = figure.querySelector("[data-chart-plot]");
  if (!(place instanceof HTMLElement) || !figure.dataset.chart) return;
  drawn.get(figure)?.plot.destroy();
  const chart = /** @type {Chart} */ (JSON.parse(figure.dataset.chart));
  const data = /** @type {uPlot.AlignedData} */ ([chart.times, ...chart.series.map(({ values }) => values)]);
  drawn.set(figure, { plot: new uPlot(optionsOf(figure, chart), data, place), chart });
  figure.dataset.drawn = "";
  sizes.observe(figure);
}

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (!(target instanceof HTMLElement)) continue;
    const plot = drawn.get(target)?.plot;
    if (plot && plot.width !== target.clientWidth) plot.setSize({ width: target.clientWidth, height: Number(target.dataset.height) });
  }
});

function drawNew() {
  for (const figure of drawn.keys()) {
    if (figure.isConnected) continue;
    sizes.unobserve(figure);
    drawn.get(figure)?.plot.destroy();
    drawn.delete(figure);
  }
  for (const figure of document.querySelectorAll("[data-chart]:not([data-drawn])")) if (figure instanceof HTMLElement) draw(figure);
}

function drawAll() {
  for (const figure of drawn.keys()) draw(figure);
}

document.addEventListener("htmx:load", drawNew);
document.addEventListener("orca:theme", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
document.fonts.ready.then(drawNew);
