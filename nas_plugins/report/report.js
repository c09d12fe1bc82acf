"use strict";
(() => {
  const root = document.documentElement;
  const report = JSON.parse(document.getElementById("report-data").textContent);
  const config = {
    displaylogo: false,
    responsive: true,
    // Named one by one: plotly's own choice has a button that sends the plot to its makers.
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    toImageButtonOptions: { format: "svg" },
  };

  // Placeholders are objects, texts are strings: no text can pass for a placeholder.
  function resolve(value, style) {
    if (Array.isArray(value)) {
      const numbers = typeof value[0] === "number" && typeof value.at(-1) === "number";
      // A copy: plotly sorts ranges in place, which would turn an axis over at the next drawing.
      return numbers ? value.slice() : value.map((item) => resolve(item, style));
    }
    if (value === null || typeof value !== "object") return value;
    if ("$css" in value) return style.getPropertyValue(value.$css).trim();
    if ("$ref" in value) {
      const list = report.shared[value.$ref];
      return value.take ? value.take.map((i) => list[i]) : list;
    }
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, resolve(item, style)]),
    );
  }

  const view = {};

  function draw(name) {
    const figure = report.figures[name];
    const target = document.getElementById(`plot-${name}`);
    const style = getComputedStyle(root);
    const layout = resolve(figure.layout, style);
    layout.template = { layout: resolve(report.template, style) };
    layout.uirevision = name; // a new colour scheme keeps the zoom
    if (root.classList.contains("printing")) {
      // A page is laid out only after this, so the size must be said.
      layout.width = target.clientWidth;
      layout.height = target.clientHeight;
    }
    if (view[name]) {
      for (const [key, value] of Object.entries(figure.views[view[name]])) {
        const [axis, property] = key.split(".");
        layout[axis][property] = resolve(value, style);
      }
    }
    return Plotly.react(target, resolve(figure.data, style), layout, {
      ...config,
      displayModeBar: figure.data[0].type !== "parcoords" && target.clientWidth > 640,
    });
  }

  // What a link leads to may be folded away.
  function unfold(target) {
    for (let node = target; node; node = node.parentElement) {
      if (node.tagName === "DETAILS") node.open = true;
    }
  }

  function show(number) {
    const target =
      document.getElementById(report.anchors[number]) ||
      document.getElementById(`notes-${number}`);
    if (!target) return;
    unfold(target);
    location.hash = target.id;
  }

  document.querySelectorAll('a[href^="#"]').forEach((link) => {
    link.addEventListener("click", () => {
      unfold(document.getElementById(link.getAttribute("href").slice(1)));
    });
  });

  function redraw() {
    Object.keys(report.figures).forEach(draw);
  }

  const draws = typeof Plotly !== "undefined";
  if (!draws && report.script) {
    const notice = document.createElement("p");
    notice.className = "missing";
    notice.setAttribute("role", "alert");
    notice.textContent =
      `The plots are not drawn: the file ${report.script}, which was written beside this page, ` +
      "is not there. Put it back, or write the page as a single file with " +
      "\u201cnas-plugins report --single-file\u201d. Everything else is here.";
    document.querySelector("main > nav").before(notice);
    document.querySelectorAll(".plots").forEach((area) => {
      const text = document.createElement("p");
      text.className = "lead";
      text.textContent = `Not drawn, as ${report.script} is not there.`;
      area.replaceChildren(text);
    });
  }

  if (draws) {
    for (const name of Object.keys(report.figures)) {
      draw(name).then((target) => {
        target.on("plotly_click", (event) => {
          const number = event.points && event.points[0] && event.points[0].customdata;
          if (number !== undefined) show(number);
        });
      });
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    // Paper is white and narrow whatever the screen is like.
    addEventListener("beforeprint", () => {
      root.classList.add("printing");
      redraw();
    });
    addEventListener("afterprint", () => {
      root.classList.remove("printing");
      redraw();
    });
  }

  document.querySelectorAll("button[data-view]").forEach((button) => {
    button.addEventListener("click", () => {
      const name = button.dataset.plot;
      view[name] = button.dataset.view;
      Plotly.relayout(`plot-${name}`, { ...report.figures[name].views[view[name]] });
      button.parentElement.querySelectorAll("button").forEach((other) => {
        other.setAttribute("aria-pressed", String(other === button));
      });
    });
  });

  // Phones hide the bars of what scrolls sideways, so say where something does.
  function hint(area) {
    const more = area.scrollWidth > area.clientWidth + 1;
    area.classList.toggle("more", more);
    const before = area.previousElementSibling;
    const told = before && before.classList.contains("more-hint");
    if (more && !told) {
      const text = document.createElement("p");
      text.className = "more-hint";
      text.textContent = "Scrolls sideways \u2192";
      area.before(text);
    } else if (!more && told) {
      before.remove();
    }
  }

  const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => hint(target)));
  document.querySelectorAll(".scroll, .cell").forEach((area) => sizes.observe(area));

  async function copy(text) {
    if (navigator.clipboard && window.isSecureContext) {
      return navigator.clipboard.writeText(text);
    }
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("copying is not allowed here");
    return undefined;
  }

  document.querySelectorAll("button.copy").forEach((button) => {
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      try {
        await copy(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code); // left to the reader's own shortcut
        button.textContent = "Selected";
      }
      setTimeout(() => {
        button.textContent = "Copy";
      }, 1500);
    });
  });
})();
