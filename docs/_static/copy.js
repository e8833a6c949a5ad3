// A button on each block of code that copies it: of a Python session the inputs, without prompts.
function codeToCopy(block) {
  const text = block.querySelector("pre").innerText;
  if (!block.closest(".highlight-pycon")) return text;
  return text.split("\n").filter((line) => /^(>>>|\.\.\.)( |$)/.test(line)).map((line) => line.slice(4)).join("\n");
}

document.addEventListener("DOMContentLoaded", () => {
  if (!navigator.clipboard) return; // as on pages that are not served over HTTPS or from localhost
  for (const block of document.querySelectorAll("[class*=highlight-]:not(.highlight-text) > .highlight")) {
    const button = document.createElement("button");
    button.className = "copy";
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(codeToCopy(block));
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    block.append(button);
  }
});
