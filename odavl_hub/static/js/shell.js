/* The frame of every page: theme, menus, the sidebar on small screens, messages that go away. */
"use strict";
(() => {
  const root = document.documentElement;
  const THEME_KEY = "odavl-theme";
  const MESSAGE_STAYS_MS = 8000;

  const chosenTheme = () => {
    try {
      return localStorage.getItem(THEME_KEY) ?? "auto";
    } catch {
      return "auto";
    }
  };

  const applyTheme = (theme) => {
    if (theme === "auto") delete root.dataset.bsTheme;
    else root.dataset.bsTheme = theme;
    for (const button of document.querySelectorAll("[data-theme-value]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeValue === theme));
    }
    document.dispatchEvent(new CustomEvent("odavl:theme"));
  };

  const chooseTheme = (theme) => {
    try {
      if (theme === "auto") localStorage.removeItem(THEME_KEY);
      else localStorage.setItem(THEME_KEY, theme);
    } catch {
      // Without storage the choice holds for this page only.
    }
    applyTheme(theme);
  };

  const showSidebar = (open) => {
    document.body.classList.toggle("sidebar-shown", open);
    const opener = document.querySelector("[data-sidebar-open]");
    opener?.setAttribute("aria-expanded", String(open));
    if (open) document.querySelector(".sidebar-close")?.focus();
    else opener?.focus();
  };

  const closeMenus = (except) => {
    for (const menu of document.querySelectorAll("details[data-menu][open]")) {
      if (menu !== except) menu.open = false;
    }
  };

  document.addEventListener("click", (event) => {
    const target = event.target;
    if (!(target instanceof Element)) return;
    closeMenus(target.closest("details[data-menu]"));
    const theme = target.closest("[data-theme-value]");
    if (theme) chooseTheme(theme.dataset.themeValue);
    if (target.closest("[data-sidebar-open]")) showSidebar(true);
    if (target.closest("[data-sidebar-close]")) showSidebar(false);
    target.closest("[data-dismiss]")?.parentElement.remove();
    const copy = target.closest("[data-copy]");
    if (copy) copyText(copy);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.querySelector("details[data-menu][open]");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    } else if (document.body.classList.contains("sidebar-shown")) {
      showSidebar(false);
    }
  });

  const copyText = async (button) => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.classList.add("copied");
    button.addEventListener("blur", () => button.classList.remove("copied"), { once: true });
  };

  const watchMessages = () => {
    for (const note of document.querySelectorAll("#toasts > .toast-success, #toasts > .toast-info")) {
      // A person who reads it, by pointer or keyboard, is not hurried.
      const leave = () => (note.matches(":hover, :focus-within") ? wait() : note.remove());
      const wait = () => setTimeout(leave, MESSAGE_STAYS_MS);
      wait();
    }
  };

  applyTheme(chosenTheme());
  watchMessages();
  document.addEventListener("htmx:oobAfterSwap", watchMessages);
})();
