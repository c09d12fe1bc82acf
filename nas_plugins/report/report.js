// Draws the figures in the page's own colours, and again when the colour scheme changes.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const axis = () => ({
    gridcolor: colour("--rule"),
    linecolor: colour("--rule"),
    zerolinecolor: colour("--rule"),
    automargin: true,
  });

  const themed = (layout) => {
    const result = {
      ...layout,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colour("--text"), family: "system-ui, sans-serif", size: 13 },
      hoverlabel: { bgcolor: colour("--card"), font: { color: colour("--text") }, align: "left" },
      margin: { l: 60, r: 16, t: 16, b: 50, ...(layout.margin || {}) },
      legend: { orientation: "h", ...(layout.legend || {}) },
      autosize: true,
    };
    for (const name of ["xaxis", "yaxis"]) result[name] = { ...axis(), ...(layout[name] || {}) };
    return result;
  };

  const coloured = (traces) =>
    traces.map((trace) =>
      trace.type === "parcoords"
        ? {
            ...trace,
            labelfont: { color: colour("--text") },
            tickfont: { color: colour("--text") },
            rangefont: { color: "rgba(0,0,0,0)" },
          }
        : trace,
    );

  const draw = () => {
    for (const [id, figure] of Object.entries(figures)) {
      const place = document.getElementById(id);
      if (place) {
        Plotly.react(place, coloured(figure.data), themed(figure.layout), {
          responsive: true,
          displaylogo: false,
          displayModeBar: false,
        });
      }
    }
  };

  draw();
  dark.addEventListener("change", draw);
})();
