"use strict";
(function () {
  var plot = document.getElementById("plot");
  var data = JSON.parse(document.getElementById("data").textContent);
  var steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];
  var labels = ["in a visit that another camera saw too", "in a visit that this camera alone saw", "single"];
  var dark = matchMedia("(prefers-color-scheme: dark)");
  var still = matchMedia("(prefers-reduced-motion: reduce)");
  var chart = echarts.init(plot, null, { renderer: "svg" });
  var shown = [data.start, data.end];
  var drawn = 0;

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  }

  function two(number) {
    return String(number).padStart(2, "0");
  }

  // Times are the orchestrator's, written as if they were UTC: this device may be in another zone.
  function clock(ms, seconds) {
    var at = new Date(ms);
    return two(at.getUTCHours()) + ":" + two(at.getUTCMinutes()) + (seconds ? ":" + two(at.getUTCSeconds()) : "");
  }

  function said(step) {
    return step < 60 ? step + " s" : step < 3600 ? step / 60 + " min" : step / 3600 + " h";
  }

  // How long a piece of time is drawn as one bar: as short as there is room for.
  function chosen() {
    var bars = Math.max(20, plot.clientWidth / 7);
    var least = Math.max(data.step / 1000, (shown[1] - shown[0]) / 1000 / bars);
    return steps.find(function (step) { return step >= least && (step * 1000) % data.step === 0; }) || 86400;
  }

  function counted(camera, step) {
    var bars = new Map();
    camera.pieces.forEach(function (piece) {
      var at = Math.floor((data.start + piece[0] * data.step) / (step * 1000)) * step * 1000;
      var bar = bars.get(at) || [0, 0, 0];
      for (var kind = 0; kind < 3; kind++) bar[kind] += piece[kind + 1];
      bars.set(at, bar);
    });
    return bars;
  }

  function draw() {
    var step = chosen();
    var many = data.cameras.length > 1;
    var size = Number(plot.dataset.panel);
    var option = {
      animation: !still.matches,
      animationDuration: 300,
      useUTC: true,
      aria: { enabled: true, label: { description: plot.getAttribute("aria-label") }, decal: { show: true } },
      color: [colour("shared"), colour("own"), colour("alone")],
      textStyle: { color: colour("ink"), fontFamily: getComputedStyle(document.body).fontFamily },
      axisPointer: { link: [{ xAxisIndex: "all" }] },
      tooltip: {
        trigger: "axis",
        renderMode: "richText",
        confine: true,
        backgroundColor: colour("paper"),
        borderColor: colour("line"),
        textStyle: { color: colour("ink"), fontSize: 12 },
        formatter: function (found) {
          var middle = found[0].value[0];
          var text = clock(middle - step * 500, step < 60) + " – " + clock(middle + step * 500, step < 60);
          found.forEach(function (each) {
            if (each.value[1]) text += "\n" + each.value[1] + " " + plain(each.seriesId);
          });
          return text;
        }
      },
      dataZoom: [
        { type: "inside", xAxisIndex: "all", filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false, preventDefaultMouseMove: false },
        { type: "slider", xAxisIndex: "all", filterMode: "none", bottom: 4, height: 26, showDetail: false, brushSelect: false,
          borderColor: colour("line"), fillerColor: "rgba(127,127,127,.2)", handleStyle: { color: colour("soft") } }
      ],
      title: [], grid: [], xAxis: [], yAxis: [], series: []
    };
    var zoom = [(shown[0] - data.start) / (data.end - data.start) * 100, (shown[1] - data.start) / (data.end - data.start) * 100];
    option.dataZoom.forEach(function (each) { each.start = zoom[0]; each.end = zoom[1]; });
    data.cameras.forEach(function (camera, number) {
      var bars = counted(camera, step);
      var width = Math.max(1, (plot.clientWidth - 60) * step * 1000 / Math.max(1, shown[1] - shown[0]) - 1);
      option.title.push({
        text: camera.name + (camera.name === camera.mode ? "" : " (" + camera.mode + ")") + ": images in " + said(step),
        left: 0, top: number * size + 4, padding: 0, textStyle: { fontSize: 13, fontWeight: 600, color: colour("ink"), width: plot.clientWidth, overflow: "truncate" }
      });
      option.grid.push({ left: 40, right: 16, top: number * size + 34, height: size - 66 });
      option.xAxis.push({
        type: "time", gridIndex: number, min: data.start, max: data.end,
        axisLabel: { color: colour("soft"), hideOverlap: true, formatter: function (ms) { return clock(ms, shown[1] - shown[0] < 600000); } },
        axisLine: { lineStyle: { color: colour("soft") } }, splitLine: { show: false }
      });
      option.yAxis.push({
        type: "value", gridIndex: number, minInterval: 1, splitNumber: 2,
        axisLabel: { color: colour("soft") }, splitLine: { lineStyle: { color: colour("line") } }
      });
      for (var kind = 0; kind < 3; kind++) {
        if (kind === 0 && !many) continue;
        option.series.push({
          id: number + "/" + kind, name: labels[kind], type: "bar", stack: "camera " + number, xAxisIndex: number, yAxisIndex: number,
          barWidth: width, itemStyle: { color: option.color[kind] },
          data: Array.from(bars, function (bar) { return [bar[0] + step * 500, bar[1][kind]]; }),
          markArea: kind !== 1 ? undefined : {
            silent: true,
            data: camera.missed.map(function (span) {
              return [{ xAxis: span[0], itemStyle: { color: colour(span[2] === "unknown" ? "unknown" : "missed"), opacity: 0.35 } }, { xAxis: span[1] }];
            })
          }
        });
      }
    });
    chart.setOption(option, true);
    drawn = step;
  }

  function plain(id) {
    var parts = id.split("/");
    return data.cameras[parts[0]].name + ", " + labels[parts[1]];
  }

  chart.on("datazoom", function () {
    var zoom = chart.getOption().dataZoom[0];
    var length = data.end - data.start;
    shown = [data.start + length * zoom.start / 100, data.start + length * zoom.end / 100];
    if (chosen() !== drawn) draw();
  });
  addEventListener("resize", function () { chart.resize(); draw(); });
  dark.addEventListener("change", draw);
  draw();
  plot.dataset.drawn = "yes";
})();
