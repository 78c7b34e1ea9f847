//VERSION=3
// Reflectance r as the 16-bit number 10000 r + 1000: half the price of floats, and values below 0 stay.
const BANDS = $bands;
const CLASSES = $classes;

function setup() {
  const others = CLASSES.concat(["dataMask"]);
  return {
    input: [{
      bands: BANDS.concat(others),
      units: BANDS.map(() => "REFLECTANCE").concat(others.map(() => "DN")),
    }],
    output: { id: "default", bands: BANDS.length + others.length, sampleType: "UINT16" },
    mosaicking: "SIMPLE",
  };
}

function evaluatePixel(sample) {
  const numbers = BANDS.map((band) => 10000 * sample[band] + 1000);
  return numbers.concat(CLASSES.map((band) => sample[band]), [sample.dataMask]);
}
