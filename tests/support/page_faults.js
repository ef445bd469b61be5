// What is wrong with the page: a list of sentences, empty if nothing is.
() => {
  const found = new Set();
  const isSeen = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const all = (selector) => [...document.querySelectorAll(selector)].filter(isSeen);

  const surplus = document.documentElement.scrollWidth - innerWidth;
  if (surplus > 0) found.add(`it is ${surplus} pixels too wide`);
  if (all("main h1").length !== 1) found.add("it needs exactly one heading");
  for (const landmark of ["main", "header"]) {
    if (all(landmark).length !== 1) found.add(`it needs exactly one ${landmark}`);
  }

  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of ids.filter((one, i) => ids.indexOf(one) !== i)) found.add(`${id} is there twice`);

  const used = "input:not([type=hidden]), select, textarea, button, a[href], summary, [role=img]";
  for (const element of all(used)) {
    const isNamed = (element.labels && element.labels.length) || element.getAttribute("aria-label")
      || element.textContent.trim();
    if (!isNamed) found.add(`${element.outerHTML.slice(0, 120)} has no name`);
  }

  // Contrast as WCAG 2 reckons it: at least 4.5, or 3 where the text is large.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parsed = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => under.map((part, i) => top[i] * top[3] + part * (1 - top[3]));
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(getComputedStyle(e).backgroundColor);
    return layers.reverse().reduce((under, layer) => over(parsed(layer), under), [255, 255, 255]);
  };
  const lightness = (rgb) => rgb
    .map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
  const quiet = "svg, .hidden, .skip, script, option, noscript";
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = texts.nextNode());) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest(quiet) || !isSeen(element)) continue;
    const style = getComputedStyle(element);
    const ground = behind(element);
    const pair = [over(parsed(style.color), ground), ground].map(lightness).sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (contrast < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) {
      found.add(`${node.data.trim().slice(0, 40)} (${element.className}) is pale: ${contrast.toFixed(1)}`);
    }
  }
  return [...found];
}
