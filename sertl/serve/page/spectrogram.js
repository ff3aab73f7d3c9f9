"use strict";
// Power spectrogram of samples onto a canvas, 0 to half the rate, 80 dB.
// Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.

/** In-place FFT of n = 2^k complex values. */
function fft(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) { [re[i], re[j]] = [re[j], re[i]]; [im[i], im[j]] = [im[j], im[i]]; }
  }
  for (let size = 2; size <= n; size <<= 1) {
    const angle = -2 * Math.PI / size;
    for (let start = 0; start < n; start += size) {
      for (let k = 0; k < size / 2; k++) {
        const c = Math.cos(angle * k), s = Math.sin(angle * k);
        const a = start + k, b = a + size / 2;
        const x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
        re[b] = re[a] - x; im[b] = im[a] - y;
        re[a] += x; im[a] += y;
      }
    }
  }
}

function drawSpectrogram(canvas, samples, rate) {
  const size = 512, bins = size / 2, context = canvas.getContext("2d");
  const columns = Math.min(canvas.width, Math.max(1, Math.floor(samples.length / 64)));
  const picture = new ImageData(columns, bins), levels = new Float32Array(columns * bins);
  let top = -Infinity;
  for (let column = 0; column < columns; column++) {
    const middle = Math.floor((column + 0.5) * samples.length / columns);
    const re = new Float32Array(size), im = new Float32Array(size);
    for (let n = 0; n < size; n++) {
      const window = 0.5 - 0.5 * Math.cos(2 * Math.PI * n / size);
      re[n] = (samples[middle - size / 2 + n] || 0) * window;
    }
    fft(re, im);
    for (let bin = 0; bin < bins; bin++) {
      const level = 10 * Math.log10(re[bin] ** 2 + im[bin] ** 2 + 1e-12);
      levels[column * bins + bin] = level;
      top = Math.max(top, level);
    }
  }
  for (let column = 0; column < columns; column++) {
    for (let bin = 0; bin < bins; bin++) {
      const share = Math.max(0, 1 + (levels[column * bins + bin] - top) / 80);
      const place = 4 * ((bins - 1 - bin) * columns + column);
      picture.data[place] = 255 - 235 * share ** 1.2;
      picture.data[place + 1] = 255 - 200 * share ** 1.5;
      picture.data[place + 2] = 255 - 140 * share ** 2.5;
      picture.data[place + 3] = 255;
    }
  }
  const sheet = document.createElement("canvas");
  sheet.width = columns; sheet.height = bins;
  sheet.getContext("2d").putImageData(picture, 0, 0);
  const shown = Math.min(1, 8000 / (rate / 2));
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(sheet, 0, bins * (1 - shown), columns, bins * shown, 0, 0, canvas.width, canvas.height);
}
