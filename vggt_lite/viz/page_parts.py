"""Style and script of the stand-alone page: plain CSS and JavaScript, nothing fetched from anywhere."""

import json
from pathlib import Path

from plotly.colors import sample_colorscale

from vggt_lite.viz.style import CONFIG, SEQUENTIAL

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1120px; margin: 0 auto; padding: 0 16px 48px;
       background: Canvas; color: CanvasText; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin: .6rem 0 0; }
p { max-width: 75ch; }
code, pre { font-family: ui-monospace, monospace; font-size: .92em; }
pre { padding: .7em 1em; border: 1px solid #757575; border-radius: 6px; overflow-x: auto; }
.figure { overflow-x: auto; }
.figures { display: flex; flex-wrap: wrap; gap: 12px; }
.figures > div { flex: 1 1 440px; min-width: 300px; }
.plot { height: 440px; border: 1px solid #75757566; border-radius: 6px; }
.plot:focus-visible { outline: 3px solid #0072B2; outline-offset: 2px; }
.controls { display: flex; flex-wrap: wrap; gap: 6px 24px; align-items: center; margin: 8px 0; }
.controls input[type=range] { width: 220px; vertical-align: middle; }
.note { color: color-mix(in srgb, CanvasText 75%, Canvas); font-size: .88rem; margin: .3rem 0; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: 4px 14px 4px 0; text-align: left; border-bottom: 1px solid #75757566; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.wide, .maps { overflow-x: auto; } .wide td.number { white-space: nowrap; }
.maps td, .maps th { border: 0; padding: 2px 4px 2px 0; font-weight: normal; }
.maps img { width: 168px; display: block; image-rendering: pixelated; }
.maps img.photo { image-rendering: auto; }
.bar { width: 120px; height: 10px; background: linear-gradient(to right, BAR); }
.ends { width: 120px; display: flex; justify-content: space-between; font-size: .8rem; }
""".replace("BAR", ", ".join(sample_colorscale(SEQUENTIAL, 8)))

# Each .scene block holds one JSON script: figures (plotly's data and layout, without points) and, for each
# figure, clouds by source: base64 of x, y, z (float32), color, rank, view (bytes), and how many points there
# are in all.
SCRIPT = (
    f"const CONFIG = {json.dumps({**CONFIG, 'responsive': True})};\n"
    + Path(__file__).with_name("turn.js").read_text(encoding="utf-8")
    + """
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
function decode(cloud) {
  const floats = text => new Float32Array(bytes(text).buffer);
  return {x: floats(cloud.x), y: floats(cloud.y), z: floats(cloud.z), color: bytes(cloud.color),
          rank: bytes(cloud.rank), view: bytes(cloud.view), scale: cloud.scale, total: cloud.total};
}
function select(cloud, percentile, views) {
  const keep = [];
  for (let i = 0; i < cloud.rank.length; i++)
    if (cloud.rank[i] >= percentile && views.has(cloud.view[i])) keep.push(i);
  const take = values => values.constructor.from(keep, i => values[i]);
  return {x: take(cloud.x), y: take(cloud.y), z: take(cloud.z), color: take(cloud.color)};
}
function setUp(block) {
  const {figures} = JSON.parse(block.querySelector('script').textContent);
  const plots = [...block.querySelectorAll('.plot')], drawn = [];
  const clouds = figures.map(f => Object.fromEntries(
    Object.entries(f.clouds).map(([name, cloud]) => [name, decode(cloud)])));
  const slider = block.querySelector('input[type=range]'), source = block.querySelector('select');
  const boxes = [...block.querySelectorAll('input[type=checkbox]')];
  function draw() {
    const views = new Set(boxes.filter(box => box.checked).map(box => +box.value));
    figures.forEach((figure, k) => {
      const percentile = k ? 0 : +slider.value;  // the truth has one cloud and no doubts
      const cloud = clouds[k][source.value] || Object.values(clouds[k])[0];
      const key = JSON.stringify([percentile, source.value, [...views]]);
      if (key === drawn[k]) return;
      drawn[k] = key;
      const {color, ...place} = select(cloud, percentile, views), [trace, ...others] = figure.data;
      const marker = {...trace.marker, color, colorscale: cloud.scale, cmax: cloud.scale.length - 1};
      Plotly.react(plots[k], [{...trace, ...place, marker}, ...others], figure.layout, CONFIG);
      const text = number => number.toLocaleString('en');
      if (!k) block.querySelector('output').textContent =
        `${percentile} %: ${text(color.length)} of ${text(cloud.total)} points shown`;
    });
  }
  draw();
  plots.forEach(turnByKeys);
  let waiting = false;
  function soon() {  // at most one drawing a frame, however fast the slider moves
    if (!waiting) requestAnimationFrame(() => { waiting = false; draw(); });
    waiting = true;
  }
  [slider, source, ...boxes].forEach(e => e.addEventListener('input', soon));
  let leader = null;  // turning one figure turns the others
  plots.forEach(plot => ['plotly_relayouting', 'plotly_relayout'].forEach(name => plot.on(name, change => {
    const camera = change && change['scene.camera'];
    if (!camera || (leader && leader !== plot)) return;
    leader = plot;
    Promise.all(plots.filter(p => p !== plot).map(p => Plotly.relayout(p, {'scene.camera': camera})))
      .finally(() => { leader = null; });
  })));
}
document.querySelectorAll('.figure').forEach(block => {
  const {data, layout} = JSON.parse(block.querySelector('script').textContent);
  Plotly.newPlot(block.firstElementChild, data, layout, CONFIG);
});
// A figure is built when it comes into sight: each one costs WebGL memory and time.
const watcher = new IntersectionObserver(entries => entries.forEach(entry => {
  if (entry.isIntersecting) { watcher.unobserve(entry.target); setUp(entry.target); }
}), {rootMargin: '200px'});
document.querySelectorAll('.scene').forEach(block => watcher.observe(block));
"""
)
