// What a reader would stumble over, asked of the page itself. Its value: faults, in words, and what is there.
(() => {
  const faults = [];
  const fault = (words, node) => {
    const element = node?.nodeType === Node.TEXT_NODE ? node.parentElement : node;
    const where = element ? ` at <${element.nodeName.toLowerCase()} class="${element.getAttribute("class") ?? ""}">` : "";
    faults.push(`${words}${where}`);
  };
  const all = (selector) => [...document.querySelectorAll(selector)];
  const width = document.documentElement.clientWidth;

  // Nothing is wider than the window.
  if (document.documentElement.scrollWidth > width) fault(`the page is ${document.documentElement.scrollWidth} px wide in ${width}`);
  for (const element of all("body *")) {
    const box = element.getBoundingClientRect();
    if (box.width && box.right > width + 1 && box.left >= 0 && element.checkVisibility()) fault(`ends at ${box.right} px of ${width}`, element);
  }

  // Text can be told from what is behind it: 4.5 to 1, large text 3 to 1 (WCAG 2.2, 1.4.3), and is not tiny.
  const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  let texts = 0;
  let least = 21;
  const contrast = (element, style, words) => {
    const colour = parse(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(colour), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    texts++;
    least = Math.min(least, ratio);
    if (ratio < (large ? 3 : 4.5)) fault(`contrast of ${ratio.toFixed(2)} in "${words}"`, element);
    if (size < 11) fault(`${size} px small: "${words}"`, element);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const words = walker.currentNode.data.trim();
    if (words && element.checkVisibility() && element.nodeName !== "NOSCRIPT") contrast(element, getComputedStyle(element), words);
  }
  for (const cell of all("td")) {
    const before = getComputedStyle(cell, "::before");
    if (before.content !== "none" && cell.checkVisibility()) contrast(cell, before, before.content);
  }

  // Structure: one h1, no level left out, tables with a caption and headers, pictures with words, links with names.
  const levels = all("h1, h2, h3, h4").map((heading) => Number(heading.nodeName[1]));
  if (levels.filter((level) => level === 1).length !== 1) fault("not one h1");
  levels.forEach((level, n) => n && level > levels[n - 1] + 1 && fault(`h${level} after h${levels[n - 1]}`));
  for (const table of all("table")) {
    const columns = table.querySelectorAll("thead th[scope=col]").length;
    if (!table.caption?.textContent.trim()) fault("no caption", table);
    for (const row of table.querySelectorAll("tbody tr, tfoot tr")) {
      if (row.children.length !== columns) fault(`${row.children.length} cells in ${columns} columns`, row);
      if (row.firstElementChild.getAttribute("scope") !== "row") fault("the row has no header", row);
    }
  }
  for (const picture of all("svg")) if (!picture.ariaHidden && !picture.ariaLabel) fault("a picture without words", picture);
  for (const link of all("a, button, summary")) if (!link.textContent.trim()) fault("no name", link);
  const ids = all("[id]").map((element) => element.id);
  if (new Set(ids).size !== ids.length) fault(`an id is there twice: ${ids}`);
  for (const label of all("[aria-labelledby]"))
    if (!document.getElementById(label.getAttribute("aria-labelledby"))) fault("labelled by nothing", label);
  // What is to be touched is 24 px high, unless it is in running text (WCAG 2.2, 2.5.8).
  for (const target of all("button, nav a, summary"))
    if (target.checkVisibility() && target.getBoundingClientRect().height < 24) fault(`${target.getBoundingClientRect().height} px high`, target);

  return {
    faults,
    texts,
    least: Math.round(least * 100) / 100,
    title: document.title,
    sections: all("h2").map((heading) => heading.textContent),
    devices: all("section[aria-labelledby=devices] tbody th").map((cell) => cell.firstChild.data.trim()),
    pictures: all(".plot").filter((plot) => plot.querySelector("path")).length,
    rates: all("section[aria-labelledby=requests] > table tbody tr").map((row) => row.children[1].textContent),
    state: document.querySelector(".state strong")?.textContent,
    refresh: Boolean(document.querySelector("meta[http-equiv=refresh]")),
    pause: document.getElementById("pause").checkVisibility(),
    height: document.documentElement.scrollHeight,
  };
})()
