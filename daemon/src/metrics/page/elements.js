"use strict";
// The page draws what /window.json says (daemon/docs/metrics.md). Its scripts are one, in the order
// of page.rs. Names of files are a guest's: whatever is shown is set as text, never as markup.
const byId = (id) => document.getElementById(id);
const make = (tag, kind, text) => {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  if (text !== undefined) element.textContent = text;
  return element;
};
const setText = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};
const setData = (element, name, value) => {
  if (element.dataset[name] !== value) element.dataset[name] = value;
};
