// Where one picture lies in the frame of another: a crop in its original, a border around it, a quarter turn.
// The place that correlates best, first coarsely over all sizes, then finely around the best of them.
const COARSE = 56, FINE = 224, FINEST = 640, STEPS = 28, SURE = 0.96, FAIR = 0.8;

function grey(image, width, height, turn = 0, mirrored = false) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.translate(width / 2, height / 2);
  context.scale(mirrored ? -1 : 1, 1);
  context.rotate((turn * Math.PI) / 2);
  const [across, down] = turn % 2 ? [height, width] : [width, height];
  context.drawImage(image, -across / 2, -down / 2, across, down);
  const pixels = context.getImageData(0, 0, width, height).data;
  const data = new Float32Array(width * height);
  for (let at = 0; at < data.length; at += 1) data[at] = 0.299 * pixels[4 * at] + 0.587 * pixels[4 * at + 1] + 0.114 * pixels[4 * at + 2];
  return { data, width, height };
}

// Correlation of b laid over a with its corner at (x, y), where they overlap; -1 where that is nearly nothing.
function correlation(a, b, x, y) {
  const left = Math.max(0, x), top = Math.max(0, y);
  const right = Math.min(a.width, x + b.width), bottom = Math.min(a.height, y + b.height);
  const pixels = (right - left) * (bottom - top);
  if (right <= left || bottom <= top || pixels < 0.2 * a.width * a.height) return -1;
  let sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
  for (let row = top; row < bottom; row += 1) {
    let ia = row * a.width + left, ib = (row - y) * b.width + left - x;
    for (let column = left; column < right; column += 1, ia += 1, ib += 1) {
      const va = a.data[ia], vb = b.data[ib];
      sa += va; sb += vb; saa += va * va; sbb += vb * vb; sab += va * vb;
    }
  }
  const spread = Math.sqrt((saa - (sa * sa) / pixels) * (sbb - (sb * sb) / pixels));
  return spread > 1e-3 * pixels ? (sab - (sa * sb) / pixels) / spread : -1;
}

const within = (side, aspect) => (aspect >= 1 ? [side, Math.max(8, Math.round(side / aspect))] : [Math.max(8, Math.round(side * aspect)), side]);
const between = (one, other) => [Math.min(one, other), Math.max(one, other)];

function search(image, a, aspect, widths, around) {
  let best = { score: -1 };
  for (const width of widths) {
    const height = Math.max(4, Math.round(width / aspect));
    const b = grey(image, width, height);
    const [x0, x1] = around ? [around.x - around.reach, around.x + around.reach] : between(0, a.width - width);
    const [y0, y1] = around ? [around.y - around.reach, around.y + around.reach] : between(0, a.height - height);
    for (let y = y0; y <= y1; y += 1) {
      for (let x = x0; x <= x1; x += 1) {
        const score = correlation(a, b, x, y);
        if (score > best.score) best = { score, x, y, width, height };
      }
    }
  }
  return best;
}

const whole = (score, turn = 0, mirrored = false) => ({ x: 0, y: 0, width: 1, height: 1, turn, mirrored, score, aligned: score >= FAIR });

// Of ``image`` in the frame of ``other``, both loaded: { x, y, width, height } in parts of that frame, quarter turns
// clockwise, whether it is mirrored, and whether that is known.
export function place(other, image) {
  const aspectOf = (one) => one.naturalWidth / one.naturalHeight;
  const [width, height] = within(COARSE, aspectOf(other));
  const a = grey(other, width, height);
  let upright = whole(-1);
  for (const mirrored of [false, true]) {
    for (let turn = 0; turn < 4; turn += 1) {
      const aspect = turn % 2 ? 1 / aspectOf(image) : aspectOf(image);
      if (Math.abs(aspect / aspectOf(other) - 1) > 0.03) continue;
      const score = correlation(a, grey(image, width, height, turn, mirrored), 0, 0);
      // As it is, unless another way is clearly better.
      if (score > upright.score + (turn || mirrored ? 0.1 : 0)) upright = whole(score, turn, mirrored);
    }
  }
  if (upright.score >= SURE || upright.turn || upright.mirrored) return upright;
  const sizes = [...new Set(Array.from({ length: STEPS + 1 }, (_, at) => Math.round(width * 2 ** ((2 * at) / STEPS - 1))))];
  const coarse = search(image, a, aspectOf(image), sizes, null);
  if (coarse.score < FAIR || coarse.score < upright.score + 0.02) return upright;
  const fine = closer(other, image, coarse, width, FINE, Array.from({ length: 13 }, (_, at) => 1 + (at - 6) * 0.006), 4);
  const finest = closer(other, image, fine, fine.across, FINEST, [-3, -2, -1, 0, 1, 2, 3].map((at) => 1 + at * 0.0016), 2);
  if (finest.score < FAIR) return upright;
  return { x: finest.x / finest.across, y: finest.y / finest.down, width: finest.width / finest.across,
    height: finest.height / finest.down, turn: 0, mirrored: false, score: finest.score, aligned: true };
}

// The same again on larger pictures, around what was found on those ``across`` pixels wide.
function closer(other, image, found, across, side, factors, reach) {
  const [width, height] = within(side, other.naturalWidth / other.naturalHeight);
  const scale = width / across;
  const widths = [...new Set(factors.map((factor) => Math.round(found.width * scale * factor)))];
  const around = { x: Math.round(found.x * scale), y: Math.round(found.y * scale), reach };
  const best = search(image, grey(other, width, height), image.naturalWidth / image.naturalHeight, widths, around);
  return { ...best, across: width, down: height };
}
