// Makes elements; text only ever enters as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties and children; `on` holds listeners, names with a dash or `role` are attributes. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** An SVG element; all properties but `on` are attributes. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function fill(element, { on = {}, data = {}, ...properties }, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) {
      continue;
    }
    if (name.includes("-") || name === "role" || name === "for") {
      element.setAttribute(name, value);
    } else if (name === "class") {
      element.className = value;
    } else {
      element[name] = value;
    }
  }
  Object.assign(element.dataset, data);
  for (const [event, listener] of Object.entries(on)) {
    element.addEventListener(event, listener);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Set an element's text if it differs, so that nothing is laid out or read out anew for nothing. */
export function say(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** Replace an element's children. */
export function show(element, ...children) {
  element.replaceChildren(...children.flat().filter(Boolean));
}

let lastId = 0;

/** A new id for an element that another one refers to. */
export function freshId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}

/** Whether things may move. */
export function mayMove() {
  return !matchMedia("(prefers-reduced-motion: reduce)").matches;
}
