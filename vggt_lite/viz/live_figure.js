// What a live figure runs in the browser, around plotly's own code for widgets.
//
// anywidget gives a widget's code two seconds to load; after that it drops every message from the kernel. On
// a busy machine plotly's 5 MB take longer, and the figure is then drawn but never changes. So this module is
// small, starts plotly's code once for all figures of a page, and takes the messages from the kernel itself.

const MESSAGES = ["_py2js_restyle", "_py2js_relayout", "_py2js_update"];

function loadPlotly(code) {
  const url = () => URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  return (globalThis[`vggt_lite plotly ${code.length}`] ??= import(url()));
}

// Listeners are handed ipywidgets' own model, which anywidget hides.
function widgetModel(model) {
  let found;
  const find = (own) => (found = own);
  model.on("change:_probe", find);
  model.set("_probe", true);
  model.off("change:_probe", find);
  return found;
}

// ipywidgets writes a slider's label and value beside it, but does not connect them for screen readers.
function nameSliders(box) {
  for (const handle of box?.querySelectorAll(".noUi-handle") ?? []) {
    const parts = handle.closest(".widget-slider").querySelectorAll(".widget-label, .widget-readout");
    for (const part of parts) part.id ||= crypto.getRandomValues(new Uint32Array(2)).join("vggt");
    handle.setAttribute("aria-labelledby", [...parts].map((part) => part.id).join(" "));
  }
}

export default () => {
  let figure;
  const early = []; // messages that come before plotly's code is there

  return {
    initialize({ model }) {
      const own = widgetModel(model);
      const receive = Object.getPrototypeOf(own.constructor.prototype)._handle_comm_msg;
      own.comm?.on_msg((message) => receive.call(own, message));
      for (const name of MESSAGES)
        model.on(`change:${name}`, () => {
          if (!figure && model.get(name)) early.push([name, model.get(name)]);
        });
    },

    async render({ model, el }) {
      const plotly = await loadPlotly(model.get("_plotly"));
      if (!figure) {
        figure = plotly.default();
        figure.initialize({ model });
      }
      const remove = figure.render({ model, el });
      if (Object.keys(model.get("_widget_layout")).some((key) => key.startsWith("scene"))) turnByKeys(el);
      new ResizeObserver(() => nameSliders(el.closest(".widget-vbox"))).observe(el);
      for (const [name, message] of early.splice(0)) {
        model.set(name, message);
        model.set(name, null);
      }
      return remove;
    },
  };
};
