// An image from a file, the clipboard, a camera, or dropped.
"use strict";

/** Arrange brightness from 0 to 1 (rows of pixels of channels) as a model's input: its range, layout and dtype. */
Hornbeam.imageTensor = (pixels, kind, spec, height, width) => {
  const channels = kind.channels || 3, [low, high] = kind.range || [0, 1];
  let values = pixels.map((value) => low + value * (high - low));
  if (kind.layout === "channels_first" && channels > 1) {
    const area = height * width;
    values = values.map((_, i) => values[(i % area) * channels + Math.floor(i / area)]);
  }
  if (Hornbeam.isInteger(spec.dtype)) values = values.map(Math.round);
  const shape = {
    flat: [1, height * width * channels], no_channels: [1, height, width],
    channels_first: [1, channels, height, width],
  }[kind.layout] || [1, height, width, channels];
  return { dtype: spec.dtype, shape, data: Hornbeam.typedArray(spec.dtype, values) };
};

/** Mean of the outer pixels of a grey image, as a part of its range; null for an image of one color. */
Hornbeam.borderOf = (pixels, width) => {
  let low = Infinity, high = -Infinity, sum = 0, count = 0;
  pixels.forEach((value, i) => {
    low = Math.min(low, value);
    high = Math.max(high, value);
    const column = i % width;
    if (column !== 0 && column !== width - 1 && i >= width && i < pixels.length - width) return;
    sum += value;
    count++;
  });
  return high > low ? (sum / count - low) / (high - low) : null;
};

/** Whether the border of an image is bright where those of the training were dark, or dark where they were bright. */
Hornbeam.isNegative = (pixels, width, kind) => {
  if (kind.border !== "dark" && kind.border !== "bright") return false;
  const border = Hornbeam.borderOf(pixels, width);
  return border !== null && (kind.border === "dark" ? border > 0.8 : border < 0.2);
};

/** The pixels of an image, a canvas or a video, resized; brightness by the weights of ITU-R 601 if grey. */
Hornbeam.pixelsOf = (source, width, height, channels) => {
  const canvas = Hornbeam.element("canvas", { width, height });
  const context = canvas.getContext("2d");
  Object.assign(context, { imageSmoothingQuality: "high", fillStyle: "#fff" });
  context.fillRect(0, 0, width, height);
  context.drawImage(source, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Float32Array(width * height * channels);
  for (let i = 0; i < width * height; i++) {
    const [red, green, blue] = data.subarray(4 * i, 4 * i + 3);
    if (channels === 1) pixels[i] = (0.299 * red + 0.587 * green + 0.114 * blue) / 255;
    else pixels.set([red / 255, green / 255, blue / 255], 3 * i);
  }
  return pixels;
};

/** The widget. */
Hornbeam.imageInput = (kind, onChange) => {
  const { element } = Hornbeam;
  const channels = kind.channels || 3;
  const hint = element("p", { class: "quiet" }, "Drop an image here, paste one, or choose a file.");
  const drop = element("div", { class: "drop" }, hint);
  const seen = element("canvas", { "aria-hidden": "true" });
  const remark = element("span");
  const preview = element("div", { class: "seen", hidden: true }, seen, "the model sees", remark);
  const message = element("p", { class: "failure", role: "alert" });
  let pixels = null, width = kind.width, height = kind.height;

  const take = (source, sourceWidth, sourceHeight) => {
    width = kind.width || Math.min(sourceWidth, 1024);
    height = kind.height || Math.min(sourceHeight, 1024);
    pixels = Hornbeam.pixelsOf(source, width, height, channels);
    const isNegative = Hornbeam.isNegative(pixels, width, kind);
    if (isNegative) pixels = pixels.map((value) => 1 - value);
    remark.textContent = isNegative ? ", with black and white exchanged, as in the training" : "";
    Hornbeam.showPixels(seen, pixels, width, height, channels);
    preview.hidden = false;
    message.textContent = "";
    onChange();
  };
  const read = async (file) => {
    if (!file) return;
    const image = element("img", { alt: file.name || "the chosen image", src: URL.createObjectURL(file) });
    try {
      await image.decode();
    } catch {
      message.textContent = `${file.name || "The file"} is no image that this browser can show.`;
      return;
    }
    drop.replaceChildren(image);
    take(image, image.naturalWidth, image.naturalHeight);
  };
  const input = element("input", {
    type: "file", accept: "image/*", class: "visually-hidden", change: () => read(input.files[0]),
  });
  const over = (isOver) => (event) => {
    event.preventDefault();
    drop.classList.toggle("over", isOver);
  };
  drop.addEventListener("dragover", over(true));
  drop.addEventListener("dragleave", over(false));
  drop.addEventListener("drop", (event) => {
    over(false)(event);
    read(event.dataTransfer.files[0]);
  });
  const paste = (event) => {
    if (root.isConnected) read([...event.clipboardData.files].find((file) => file.type.startsWith("image/")));
    else document.removeEventListener("paste", paste);
  };
  document.addEventListener("paste", paste);
  const root = element("div", {}, drop,
    element("div", { class: "buttons" },
      element("label", { class: "button" }, "Choose an image", input),
      Hornbeam.cameraButton(drop, hint, take, message),
      preview),
    message);
  return { element: root, pixels: () => pixels, size: () => [height, width], isEmpty: () => pixels === null };
};

/** A button that shows the camera, and then takes a photo; null where the browser has none. */
Hornbeam.cameraButton = (drop, hint, take, message) => {
  if (!navigator.mediaDevices?.getUserMedia) return null;
  const video = Hornbeam.element("video", { playsinline: true, muted: true, "aria-label": "The camera" });
  let stream = null;
  const stop = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    button.textContent = "Camera";
  };
  const button = Hornbeam.element("button", {
    type: "button",
    click: async () => {
      if (stream) {
        const photo = Hornbeam.element("canvas", { width: video.videoWidth, height: video.videoHeight });
        photo.getContext("2d").drawImage(video, 0, 0);
        drop.replaceChildren(Hornbeam.element("img", { src: photo.toDataURL(), alt: "the photo" }));
        take(photo, photo.width, photo.height);
        stop();
        return;
      }
      try {
        stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      } catch (error) {
        message.textContent = `The camera cannot be used: ${error.message}.`;
        return;
      }
      video.srcObject = stream;
      drop.replaceChildren(video);
      await video.play();
      button.textContent = "Take the photo";
    },
  }, "Camera");
  return button;
};
