/* The list of issues: keys, selection, and addresses without empty filters. */
"use strict";
(() => {
  const KEYS_OFF = "odavl-keys-off";
  const dialog = document.getElementById("keys");
  const keysSwitch = dialog?.querySelector("[data-keys-on]");
  const links = () => [...document.querySelectorAll("#issues .issue-link")];
  const boxes = () => [...document.querySelectorAll("#issues .issue-check input")];

  const keysOff = () => {
    try {
      return localStorage.getItem(KEYS_OFF) === "1";
    } catch {
      return false;
    }
  };

  const countSelected = () => {
    const all = boxes();
    const selected = all.filter((box) => box.checked).length;
    const count = document.querySelector("[data-selected-count]");
    if (count) count.textContent = new Intl.NumberFormat(document.documentElement.lang).format(selected);
    const every = document.querySelector("[data-select-all]");
    if (!every) return;
    every.checked = selected > 0 && selected === all.length;
    every.indeterminate = selected > 0 && selected < all.length;
  };

  const rowHere = () => document.activeElement?.closest?.(".issue-row") ?? null;

  const move = (step) => {
    const all = links();
    if (all.length === 0) return;
    const row = rowHere();
    const at = row ? all.indexOf(row.querySelector(".issue-link")) : step > 0 ? -1 : all.length;
    const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
    next.focus();
    next.closest(".issue-row").scrollIntoView({ block: "nearest" });
  };

  const select = () => {
    const box = rowHere()?.querySelector(".issue-check input");
    if (!box) return;
    box.checked = !box.checked;
    countSelected();
  };

  const KEYS = {
    j: () => move(1),
    k: () => move(-1),
    x: select,
    "/": () => document.getElementById("filter-text").focus(),
    "?": () => dialog.showModal(),
  };

  const writing = (target) =>
    target instanceof Element && target.closest("input:not([type=checkbox]), textarea, select") !== null;

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog?.open) return;
    if (writing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const act = KEYS[event.key];
    if (!act || keysOff()) return;
    event.preventDefault();
    act();
  });

  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement)) return;
    if (box.matches("[data-select-all]")) for (const each of boxes()) each.checked = box.checked;
    if (box.matches("[data-select-all], .issue-check input")) countSelected();
    if (box === keysSwitch) {
      try {
        if (box.checked) localStorage.removeItem(KEYS_OFF);
        else localStorage.setItem(KEYS_OFF, "1");
      } catch {
        // Without storage the choice cannot be kept.
      }
    }
  });

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    if (event.target.closest("[data-show-keys]")) dialog.showModal();
    if (event.target.closest("[data-hide-keys]")) dialog.close();
  });

  // An address that a person may share names only the filters that are set.
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.verb !== "get") return;
    const parameters = event.detail.parameters;
    for (const name of Object.keys(parameters)) if (parameters[name] === "") delete parameters[name];
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target?.id !== "issues" && event.detail.elt?.id !== "issues") return;
    countSelected();
    const title = document.getElementById("issues-title");
    document.getElementById("issues-status").textContent = title?.textContent ?? "";
    // The control that was used may be gone: whoever reads by ear goes on at the new list.
    if (document.activeElement === document.body) title?.focus({ preventScroll: true });
  });

  if (keysSwitch && keysOff()) keysSwitch.checked = false;
  // A browser that comes back to the page may have kept the selection.
  if (document.querySelector("#issues .issue-check input:checked")) countSelected();
})();
