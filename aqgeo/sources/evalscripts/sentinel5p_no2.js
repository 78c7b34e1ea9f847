//VERSION=3
// Tropospheric NO2 column, mol m-2; noise below 0 stays.
function setup() {
  return {
    input: [{ bands: ["NO2", "dataMask"] }],
    output: { id: "default", bands: 2, sampleType: "FLOAT32" },
    mosaicking: "SIMPLE",
  };
}

function evaluatePixel(sample) {
  return [sample.NO2, sample.dataMask];
}
