(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);

  // The reader's choice of theme outlives the page where storage is allowed; a file opened from disk may not have any.
  const stored = {
    read() { try { return localStorage.getItem("maestro-theme"); } catch { return null; } },
    write(value) { try { localStorage.setItem("maestro-theme", value); } catch { /* private mode */ } },
  };
  const theme = one("#theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const nameTheme = () => { theme.textContent = dark() ? "Light theme" : "Dark theme"; };
  const wanted = stored.read();
  if (wanted === "dark" || wanted === "light") root.dataset.theme = wanted;
  theme.hidden = false;
  nameTheme();
  system.addEventListener("change", nameTheme);
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    stored.write(root.dataset.theme);
    nameTheme();
  });

  const checks = all(".check");
  const groups = all(".group");
  const cards = all(".components button");
  const boxes = all("#filters input[type=checkbox]");
  const component = one("#component");
  const priority = one("#priority");
  const search = one("#search");
  const count = one("#count");
  const texts = new Map();
  const textOf = (check) => {
    if (!texts.has(check)) texts.set(check, check.textContent.toLowerCase());
    return texts.get(check);
  };

  const filter = () => {
    const statuses = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const check of checks) {
      const fits = statuses.has(check.dataset.status)
        && (!component.value || check.dataset.component === component.value)
        && (!priority.value || check.dataset.priority === priority.value)
        && words.every((word) => textOf(check).includes(word));
      if (check.hidden === fits) check.hidden = !fits;
      if (fits) shown += 1;
    }
    for (const group of groups) group.hidden = !group.querySelector(".check:not([hidden])");
    for (const card of cards) card.setAttribute("aria-pressed", String(card.dataset.component === component.value));
    count.textContent = shown === checks.length
      ? `All ${checks.length} checks are shown.`
      : `${shown} of ${checks.length} checks are shown.`;
  };
  const showAll = () => {
    for (const box of boxes) box.checked = true;
    component.value = "";
    priority.value = "";
    search.value = "";
    filter();
  };
  const start = () => {
    showAll();
    // What needs attention first; what passed and what did not apply is one click away.
    if (checks.some((check) => ["fail", "error", "warn"].includes(check.dataset.status))) {
      for (const box of boxes) box.checked = box.value !== "pass" && box.value !== "skip";
      filter();
    }
  };
  let waiting = 0;
  if (one("#filters")) {
    one("#filters").hidden = false;
    for (const control of [...boxes, component, priority]) control.addEventListener("change", filter);
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(filter, 120);
    });
    one("#reset").addEventListener("click", showAll);
    for (const card of cards) {
      card.disabled = false;
      card.addEventListener("click", () => {
        const chosen = card.dataset.component;
        const again = component.value === chosen;
        showAll();
        component.value = again ? "" : chosen;
        filter();
        if (!again) one("#checks").scrollIntoView();
      });
    }
    start();
  }

  // A link to a check that a filter hides shows it all the same.
  const reveal = () => {
    const target = location.hash.length > 1 ? checks.find((check) => `#${check.id}` === location.hash) : null;
    if (target && target.hidden) {
      showAll();
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", reveal);
  reveal();

  const copied = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // No clipboard without a secure context: the old way works everywhere else.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    const label = button.querySelector(".face");
    const done = await copied(button.parentElement.querySelector("code").textContent);
    button.focus();
    label.textContent = done ? "Copied" : "Press Ctrl+C";
    one("#announcer").textContent = done ? "The command is copied." : "Copying is not allowed here.";
    setTimeout(() => { label.textContent = "Copy"; one("#announcer").textContent = ""; }, 2000);
  });
  for (const button of all(".copy")) button.hidden = false;

  addEventListener("beforeprint", () => {
    for (const details of all(".check:not(.pass) details")) details.open = true;
  });
})();
