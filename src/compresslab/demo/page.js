// What Gradio has no component for: a pad to draw on, pictures that are pasted or dropped anywhere, and a sentence
// instead of a long upload that would be refused. Everything ends in the upload button's own file input.
window.compresslabDemo = (() => {
  const facts = window.compresslabDemoFacts;
  const input = () => document.querySelector("#input input[type=file]");
  const speaks = () => {
    const chosen = document.querySelector("#language input:checked");
    return chosen && chosen.value in facts.tooLarge ? chosen.value : "en";
  };

  // A paragraph of its own: what Gradio has drawn stays Gradio's.
  function refuse(file) {
    document.getElementById("too-large")?.remove();
    if (!file || file.size <= facts.mostBytes) return false;
    const said = document.createElement("p");
    said.id = "too-large";
    said.className = "verdict refused";
    said.setAttribute("role", "alert");
    said.textContent = facts.tooLarge[speaks()];
    document.getElementById("verdict").before(said);
    show();
    return true;
  }

  function send(file) {
    if (!file || refuse(file)) return;
    const carried = new DataTransfer();
    carried.items.add(file);
    input().files = carried.files;
    input().dispatchEvent(new Event("change", { bubbles: true }));
  }

  // On a phone the answer is below the picture.
  const show = () => {
    const output = document.getElementById("output");
    if (output.getBoundingClientRect().top > innerHeight / 2) output.scrollIntoView({ behavior: "smooth" });
  };

  document.addEventListener("change", (event) => {
    const target = event.target;
    if (target.type === "file" && refuse(target.files[0])) {
      event.stopImmediatePropagation();
      target.value = "";
    }
  }, true);

  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files][0];
    if (file) { event.preventDefault(); send(file); }
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => { event.preventDefault(); send([...event.dataTransfer.files][0]); });

  // The pad. Its strokes are as wide as a digit's in a picture of 28 pixels: about a twelfth of it.
  const pad = () => document.getElementById("pad");
  const ink = () => (pad().className === "white" ? "black" : "white");
  let last = null;
  const at = (event) => {
    const frame = pad().getBoundingClientRect();
    return [(event.clientX - frame.left) * pad().width / frame.width,
            (event.clientY - frame.top) * pad().height / frame.height];
  };
  function stroke(event) {
    const pen = pad().getContext("2d"), [x, y] = at(event);
    pen.strokeStyle = ink();
    pen.lineWidth = pad().width / 12;
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    pen.moveTo(...(last || [x, y]));
    pen.lineTo(x, y);
    pen.stroke();
    last = [x, y];
  }
  document.addEventListener("pointerdown", (event) => {
    if (event.target.id !== "pad") return;
    event.target.setPointerCapture(event.pointerId);
    last = null;
    stroke(event);
  });
  document.addEventListener("pointermove", (event) => {
    if (event.target.id === "pad" && last && event.buttons) stroke(event);
  });
  document.addEventListener("pointerup", () => { last = null; });

  const clear = () => pad().getContext("2d").clearRect(0, 0, pad().width, pad().height);
  function recognize() {
    const paper = document.createElement("canvas");
    [paper.width, paper.height] = [pad().width, pad().height];
    const pen = paper.getContext("2d");
    pen.fillStyle = pad().className;
    pen.fillRect(0, 0, paper.width, paper.height);
    pen.drawImage(pad(), 0, 0);
    paper.toBlob((blob) => send(new File([blob], "drawing.png", { type: "image/png" })), "image/png");
  }
  return { speaks, show, clear, recognize };
})();
