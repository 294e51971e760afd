// Turns the 3-D views of a plotly figure with the arrow keys; + and - come closer and go away.

const TURNS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const ZOOMS = { "+": 0.9, "=": 0.9, "-": 1 / 0.9 };
const STEP = Math.PI / 24; // radians a key press
const HIGHEST = 1.45; // radians above or below the horizon: at the pole, left and right mean nothing

function turnByKeys(plot) {
  plot.tabIndex = 0;
  plot.setAttribute("role", "application");
  const said = plot.getAttribute("aria-label") ?? "3-D view.";
  plot.setAttribute("aria-label", `${said} Arrow keys turn it, plus and minus zoom.`);
  plot.setAttribute("data-lm-suppress-shortcuts", "true"); // else JupyterLab goes to the next cell
  plot.addEventListener("keydown", (event) => {
    const [around, over] = TURNS[event.key] ?? [0, 0], zoom = ZOOMS[event.key] ?? 1;
    if (event.ctrlKey || event.metaKey || event.altKey || (!around && !over && zoom === 1)) return;
    event.preventDefault();
    event.stopPropagation();
    const layout = plot._fullLayout;
    for (const name of Object.keys(layout).filter((key) => /^scene\d*$/.test(key))) {
      const scene = layout[name]._scene; // plotly's own object: a widget has no Plotly.relayout
      const camera = turned(scene.getCamera(), around * STEP, over * STEP, zoom);
      scene.setViewport({ ...layout[name], camera });
      scene.saveLayout(plot.layout);
      plot.emit("plotly_relayout", { [`${name}.camera`]: camera });
    }
  });
}

// The camera after a turn around the axis that points up, one over it, and a step towards the centre.
function turned(camera, around, over, zoom) {
  const dot = (a, b) => a.x * b.x + a.y * b.y + a.z * b.z;
  const sum = (a, k, b, l) => ({ x: a.x * k + b.x * l, y: a.y * k + b.y * l, z: a.z * k + b.z * l });
  const cross = (a, b) => ({ x: a.y * b.z - a.z * b.y, y: a.z * b.x - a.x * b.z, z: a.x * b.y - a.y * b.x });
  const up = sum(camera.up, 1 / Math.sqrt(dot(camera.up, camera.up)), camera.up, 0);
  const offset = sum(camera.eye, 1, camera.center, -1);
  const level = sum(offset, 1, up, -dot(offset, up)), radius = Math.sqrt(dot(level, level));
  const distance = Math.sqrt(dot(offset, offset)) * zoom;
  const height = Math.min(HIGHEST, Math.max(-HIGHEST, Math.atan2(dot(offset, up), radius) + over));
  const ahead = sum(level, 1 / radius, level, 0), side = cross(up, ahead);
  const away = sum(ahead, Math.cos(around), side, Math.sin(around));
  const moved = sum(away, distance * Math.cos(height), up, distance * Math.sin(height));
  return { ...camera, eye: sum(camera.center, 1, moved, 1) };
}
