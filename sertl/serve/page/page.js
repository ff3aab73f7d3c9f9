"use strict";
// The page: send a clip to every model, show bars, the curve over time, and segments to hear.
// Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.

const COLOURS = ["#1f5fbf", "#c2410c", "#15803d", "#7c3aed", "#b45309", "#0e7490", "#be185d", "#57534e", "#4d7c0f", "#991b1b"];
const $ = (id) => document.getElementById(id);
const player = $("player");
let served = null, token = "", recording = null, stopAt = Infinity, turn = 0;

function headers() { return token ? { Authorization: `Bearer ${token}` } : {}; }

async function ask(path, options = {}) {
  let answer = await fetch(path, { ...options, headers: headers() });
  if (answer.status === 401) {
    token = prompt("This server wants a token:") || "";
    answer = await fetch(path, { ...options, headers: headers() });
  }
  if (answer.ok) return answer;
  let reason = answer.statusText;
  try {
    const { detail } = await answer.json();
    reason = typeof detail === "string" ? detail : JSON.stringify(detail);
  } catch { /* no JSON: the status says what there is to say */ }
  throw new Error(reason);
}

function say(text) { $("status").textContent = text; }
function complain(text) { $("problem").textContent = text; $("problem").hidden = !text; }

async function begin() {
  served = await (await ask("/models")).json();
  const { limits, examples } = served;
  $("limits").textContent = `At most ${limits.upload_mib} MiB and ${limits.recording_sec} s. ` +
    "A model knows its own emotions only; what it hears is the sound of speech, not what a person feels.";
  for (const name of examples) $("examples").add(new Option(name, name));
  $("examples").hidden = !examples.length;
}

async function show(blob, name) {
  const mine = ++turn;
  complain("");
  say("Listening …");
  $("view").hidden = true;
  player.src = URL.createObjectURL(blob);
  try {
    if (blob.size > served.limits.upload_mib * 2 ** 20) {
      throw new Error(`${name} is larger than ${served.limits.upload_mib} MiB`);
    }
    const asked = Object.keys(served.models).map(async (model) => {
      const form = new FormData();
      form.append("file", blob, name);
      form.append("model", model);
      return (await ask("/timeline", { method: "POST", body: form })).json();
    });
    const found = await Promise.all(asked);
    const audio = await decode(blob);
    if (mine !== turn) return;
    $("name").textContent = `${name}, ${found[0].dur_sec.toFixed(1)} s`;
    $("view").hidden = false;
    picture(audio, found);
    $("models").replaceChildren(...found.map(modelView));
    say("");
  } catch (error) {
    if (mine !== turn) return;
    say("");
    complain(error.message);
  }
}

/** The browser's own reading of the clip, for the pictures; null where it cannot. */
async function decode(blob) {
  const context = new OfflineAudioContext(1, 1, 16000);
  try { return await context.decodeAudioData(await blob.arrayBuffer()); } catch { return null; }
}

function picture(audio, found) {
  for (const id of ["wave", "spectrogram"]) $(id).hidden = !audio;
  if (!audio) return;
  const samples = audio.getChannelData(0), canvas = $("wave"), pen = canvas.getContext("2d");
  const { width, height } = canvas;
  pen.clearRect(0, 0, width, height);
  const { segments, dur_sec: seconds } = found[0];
  const labels = served.models[found[0].model].labels;
  for (const one of segments) {
    pen.fillStyle = colour(labels, one.emo) + "33";
    pen.fillRect(one.start / seconds * width, 0, (one.end - one.start) / seconds * width, height);
  }
  pen.fillStyle = "#41506a";
  let loudest = 1e-4;
  for (const x of samples) loudest = Math.max(loudest, Math.abs(x));
  for (let column = 0; column < width; column++) {
    const from = Math.floor(column * samples.length / width);
    const to = Math.max(from + 1, Math.floor((column + 1) * samples.length / width));
    let low = 0, high = 0;
    for (let n = from; n < to; n++) { low = Math.min(low, samples[n]); high = Math.max(high, samples[n]); }
    const scale = height / 2.1 / loudest;
    pen.fillRect(column, height / 2 - high * scale, 1, Math.max(1, (high - low) * scale));
  }
  canvas.onclick = (event) => hear(event.offsetX / canvas.clientWidth * seconds, Infinity);
  drawSpectrogram($("spectrogram"), samples, audio.sampleRate);
}

function colour(labels, label) { return COLOURS[labels.indexOf(label) % COLOURS.length]; }

function modelView(found) {
  const labels = served.models[found.model].labels, view = document.createElement("section");
  view.className = "model";
  view.dataset.model = found.model;
  view.append(element("h3", found.model));
  if (!found.segments.length) {
    view.append(element("p", "No speech was found."));
    return view;
  }
  const mean = average(labels, found.segments);
  const best = labels.reduce((a, b) => (mean[a] >= mean[b] ? a : b));
  view.dataset.emo = best;
  for (const label of [...labels].sort((a, b) => mean[b] - mean[a])) {
    const row = element("div", "", "bar"), track = element("div", "", "track"), fill = element("div", "", "fill");
    fill.style.width = `${100 * mean[label]}%`;
    fill.style.background = colour(labels, label);
    track.append(fill);
    row.append(element("span", label), track, element("span", `${(100 * mean[label]).toFixed(0)} %`, "value"));
    view.append(row);
  }
  const curve = document.createElement("canvas");
  curve.className = "curve"; curve.width = 800; curve.height = 220;
  curve.setAttribute("aria-label", "Probability of each emotion over time");
  view.append(curve);
  drawCurve(curve, found, labels);
  const list = element("div", "", "segments");
  for (const one of found.segments) {
    const button = element("button", `${one.start.toFixed(1)} – ${one.end.toFixed(1)} s ${one.emo}`);
    button.type = "button";
    button.style.borderLeftColor = colour(labels, one.emo);
    button.onclick = () => hear(one.start, one.end);
    list.append(button);
  }
  view.append(list);
  return view;
}

function element(kind, text, name) {
  const made = document.createElement(kind);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

/** Probabilities over all segments, weighted with their durations. */
function average(labels, segments) {
  const total = segments.reduce((sum, one) => sum + one.end - one.start, 0), mean = {};
  for (const label of labels) {
    mean[label] = segments.reduce((sum, one) => sum + (one.end - one.start) * one.probs.emo[label], 0) / total;
  }
  return mean;
}

function drawCurve(canvas, found, labels) {
  const pen = canvas.getContext("2d"), { width, height } = canvas, seconds = found.dur_sec;
  pen.strokeStyle = "#d9dfe6";
  for (const share of [0, 0.5, 1]) {
    pen.beginPath(); pen.moveTo(0, 4 + share * (height - 8)); pen.lineTo(width, 4 + share * (height - 8)); pen.stroke();
  }
  pen.lineWidth = 3;
  for (const label of labels) {
    pen.strokeStyle = colour(labels, label);
    for (const one of found.segments) {
      const points = one.curve.length > 1
        ? [[one.start, one.curve[0].probs[label]],
          ...one.curve.map((p) => [(p.start + p.end) / 2, p.probs[label]]),
          [one.end, one.curve.at(-1).probs[label]]]
        : [[one.start, one.probs.emo[label]], [one.end, one.probs.emo[label]]];
      pen.beginPath();
      points.forEach(([at, value], n) => {
        const x = at / seconds * width, y = 4 + (1 - value) * (height - 8);
        if (n) pen.lineTo(x, y); else pen.moveTo(x, y);
      });
      pen.stroke();
    }
  }
}

function hear(from, to) {
  player.currentTime = from;
  stopAt = to;
  player.play();
  requestAnimationFrame(follow);
}

function follow() {
  const cursor = $("cursor");
  if (player.currentTime >= stopAt) player.pause();
  cursor.style.display = player.paused ? "none" : "block";
  cursor.style.left = `${100 * player.currentTime / (player.duration || 1)}%`;
  if (!player.paused) requestAnimationFrame(follow);
}

async function record() {
  if (recording) { recording(); return; }
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const context = new AudioContext(), source = context.createMediaStreamSource(stream);
  const chunks = [], tap = context.createScriptProcessor(4096, 1, 1);
  tap.onaudioprocess = (event) => chunks.push(event.inputBuffer.getChannelData(0).slice());
  source.connect(tap); tap.connect(context.destination);
  $("record").textContent = "Stop"; $("record").classList.add("on");
  say("Recording …");
  recording = () => {
    recording = null;
    tap.disconnect();
    stream.getTracks().forEach((track) => track.stop());
    context.close();
    $("record").textContent = "Record"; $("record").classList.remove("on");
    show(wav(chunks, context.sampleRate), "recording.wav");
  };
  setTimeout(() => recording && recording(), 1000 * served.limits.recording_sec);
}

/** 16-bit WAV of chunks of samples. */
function wav(chunks, rate) {
  const count = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * count));
  const text = (at, word) => [...word].forEach((c, n) => view.setUint8(at + n, c.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * count, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * count, true);
  let at = 44;
  for (const chunk of chunks) {
    for (const x of chunk) { view.setInt16(at, Math.max(-1, Math.min(1, x)) * 32767, true); at += 2; }
  }
  return new Blob([view.buffer], { type: "audio/wav" });
}

$("file").onchange = () => { const [file] = $("file").files; if (file) show(file, file.name); $("file").value = ""; };
$("examples").onchange = async () => {
  const name = $("examples").value;
  if (name) show(await (await ask(`/examples/${encodeURIComponent(name)}`)).blob(), name);
};
$("record").onclick = () => record().catch((error) => complain(`No microphone: ${error.message}`));
begin().catch((error) => complain(error.message));
