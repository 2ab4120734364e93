"use strict";
// The threshold slider: a table of what each threshold does is in the page; nothing is computed from images.
(() => {
  const data = document.getElementById("operating-points");
  if (!data) return;
  const points = JSON.parse(data.textContent);
  const slider = document.getElementById("threshold-slider");
  const put = (name, text) => {
    for (const place of document.querySelectorAll(`[data-live="${name}"]`)) place.textContent = text;
  };
  const share = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "—");
  const show = () => {
    const place = Number(slider.value);
    const caught = points.flagged_abnormal[place], alarms = points.flagged_normal[place];
    const threshold = Number(points.thresholds[place].toPrecision(4)).toString();
    slider.setAttribute("aria-valuetext", `threshold ${threshold}`);
    put("threshold", threshold);
    put("command", points.thresholds[place].toString());
    put("caught", caught.toLocaleString("en"));
    put("missed", (points.abnormal - caught).toLocaleString("en"));
    put("alarms", alarms.toLocaleString("en"));
    put("accepted", (points.normal - alarms).toLocaleString("en"));
    put("recall", share(caught, points.abnormal));
    put("precision", share(caught, caught + alarms));
    put("false-alarms", share(alarms, points.normal));
  };
  document.documentElement.classList.add("scripted");
  slider.max = points.thresholds.length - 1;
  slider.value = points.current;
  slider.addEventListener("input", show);
  document.getElementById("threshold-reset").addEventListener("click", () => {
    slider.value = points.current;
    show();
  });
  show();
})();
