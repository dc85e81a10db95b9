// The review page's own script: everything it changes goes through /v1, with the header that only this page knows.
"use strict";

const own = document.body.dataset;
const base = `/v1/taxonomies/${encodeURIComponent(own.key)}`;
const find = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

async function ask(path, options = {}) {
  const address = new URL(path, location.origin);
  if (own.tenant) address.searchParams.set("tenant", own.tenant);
  const headers = { "X-CSRF-Token": own.csrf };
  if (options.body) headers["Content-Type"] = "application/json";
  const answer = await fetch(address, { ...options, headers, body: options.body && JSON.stringify(options.body) });
  const found = await answer.json().catch(() => ({}));
  if (answer.ok) return found;
  if (answer.status === 401 && own.csrf) location.assign(`/review/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  const allowed = found.allowed ? ` Allowed: ${found.allowed}.` : "";
  throw new Error(typeof found.detail === "string" ? found.detail + allowed : `The service answered ${answer.status}.`);
}

function say(text, isBad = false) {
  const status = find("#status");
  status.textContent = text;
  status.classList.toggle("bad", isBad);
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { status.textContent = ""; }, isBad ? 9000 : 4000);
}

const wrong = (error) => say(error.message, true);
const perCent = (share) => `${Math.round(100 * share)} %`;

function made(name, kind, ...content) {
  const element = document.createElement(name);
  if (kind) element.className = kind;
  element.append(...content);
  return element;
}

const teach = (text, code, action) => ask(`${base}/corrections`, { method: "POST", body: { corrections: [{ text, code, action }] } });
const withdraw = (id) => ask(`${base}/corrections/${encodeURIComponent(id)}`, { method: "DELETE" });

// Search-as-you-type in the tree (the combobox pattern of WAI-ARIA).
class Picker {
  constructor(box, chosen) {
    this.input = find("input", box);
    this.list = find("ul", box);
    this.chosen = chosen;
    this.nodes = [];
    this.at = 0;
    this.asked = 0;
    this.shown = 0;
    this.input.addEventListener("input", () => this.search());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("blur", () => setTimeout(() => this.close(), 150));
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      const row = event.target.closest("li[data-at]");
      if (row) this.choose(Number(row.dataset.at));
    });
  }

  search() {
    const query = this.input.value.trim();
    const number = ++this.asked;
    if (!query) { this.close(); return Promise.resolve(); }
    this.waiting = ask(`${base}/search?limit=8&q=${encodeURIComponent(query)}`).then((found) => {
      if (number < this.shown || number < this.asked - 3) return;
      this.shown = number;
      this.show(found.nodes);
    }).catch(wrong);
    return this.waiting;
  }

  show(nodes) {
    this.nodes = nodes;
    this.list.replaceChildren(...nodes.map((node, at) => {
      const other = node.kind === "code" || node.matched === node.label ? "" : ` (${node.matched})`;
      const above = node.path_labels.slice(0, -1).join(" › ");
      const row = made("li", "", made("span", "code", node.code), ` ${node.label}${other}`, made("small", "", above));
      row.setAttribute("role", "option");
      row.id = `${this.list.id}-${at}`;
      row.dataset.at = at;
      return row;
    }));
    if (!nodes.length) {
      this.list.append(made("li", "hint", "Nothing fits."));
      this.input.removeAttribute("aria-activedescendant");
    }
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.mark(0);
    this.list.scrollIntoView({ block: "nearest" });
  }

  mark(at) {
    if (!this.nodes.length) return;
    this.at = (at + this.nodes.length) % this.nodes.length;
    [...this.list.children].forEach((row, place) => row.setAttribute("aria-selected", String(place === this.at)));
    const row = this.list.children[this.at];
    row.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", row.id);
  }

  async key(event) {
    event.stopPropagation();
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in moves) {
      event.preventDefault();
      this.mark(this.at + moves[event.key]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      // What was typed last may still be looked for.
      await this.waiting;
      if (this.nodes.length && this.input.value.trim()) this.choose(this.at);
    } else if (event.key === "Escape") {
      this.input.value = "";
      this.close();
      this.input.dispatchEvent(new CustomEvent("leave", { bubbles: true }));
    }
  }

  choose(at) {
    const node = this.nodes[at];
    this.input.value = "";
    this.close();
    this.chosen(node);
  }

  close() {
    this.list.hidden = true;
    this.nodes = [];
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}

// Classify: Enter asks; confirm and correct teach, then the text is asked again.
function startClassify(section) {
  const { text, code } = section.dataset;
  const told = (chosen, label, action) => teach(text, chosen, action)
    .then(() => { say(`Learned: ${label}. Asking again.`); location.reload(); }).catch(wrong);
  const confirm = find("[data-confirm]", section);
  if (confirm) confirm.addEventListener("click", () => told(code, code, "confirm"));
  const box = find("[data-picker]", section);
  if (box) new Picker(box, (node) => told(node.code, node.label, "correct"));
}

// The queue: one text at a time; what is said is sent in its order while the next text is already shown.
class Queue {
  constructor(list) {
    this.items = all("[data-item]", list);
    this.at = -1;
    this.undoable = [];
    this.sending = Promise.resolve();
    this.items.forEach((item, at) => this.prepare(item, at));
    document.addEventListener("keydown", (event) => this.key(event));
    this.show(0, false);
  }

  get item() { return this.items[this.at]; }

  prepare(item, at) {
    item.addEventListener("click", () => { if (at !== this.at) this.show(at); });
    const on = (selector, action) => find(selector, item)?.addEventListener("click", (event) => { event.stopPropagation(); action(); });
    on("[data-confirm]", () => this.confirm());
    on("[data-skip]", () => this.skip());
    on("[data-explain]", () => this.explain());
    find("[data-alternatives]", item)?.addEventListener("click", (event) => {
      const button = event.target.closest("[data-choose]");
      event.stopPropagation();
      if (button) this.label(button.dataset.choose, button.dataset.label, "correct");
    });
    const box = find("[data-picker]", item);
    if (box) {
      new Picker(box, (node) => this.label(node.code, node.label, node.code === item.dataset.code ? "confirm" : "correct"));
      box.addEventListener("leave", () => item.focus());
    }
  }

  show(at, scrolls = true) {
    if (at < 0 || at >= this.items.length) return;
    if (this.item) this.item.classList.remove("current");
    this.at = at;
    find("#finished").hidden = true;
    this.item.classList.add("current");
    this.item.focus({ preventScroll: true });
    if (scrolls) this.item.scrollIntoView({ block: "nearest" });
  }

  next() {
    const left = this.items.map((item, at) => at).filter((at) => !this.items[at].classList.contains("done"));
    const following = left.find((at) => at > this.at) ?? left[0];
    if (following === undefined) { this.finish(); return; }
    this.show(following);
    this.refresh(this.items[following]);
  }

  finish() {
    const end = find("#finished");
    end.hidden = false;
    end.focus();
  }

  confirm() {
    const { code } = this.item.dataset;
    if (!code) { say("There is no answer to confirm: choose an alternative, or search with /."); return; }
    this.label(code, find("[data-now] .path li:last-child .label", this.item)?.textContent ?? code, "confirm");
  }

  label(code, label, action) {
    const item = this.item;
    if (item.classList.contains("done")) { say("It is labelled already; u takes it back."); return; }
    const entry = { item, at: this.at, id: null };
    this.undoable.push(entry);
    this.mark(item, `${action === "confirm" ? "confirmed" : "corrected"}: ${code} ${label}`);
    this.next();
    this.send(async () => {
      entry.id = (await teach(item.dataset.text, code, action)).correction_ids[0];
      say(`${action === "confirm" ? "Confirmed" : "Learned"}: ${item.dataset.text} → ${label}`);
    }, () => this.unmark(entry));
  }

  skip() {
    this.undoable.push({ item: this.item, at: this.at, id: null });
    this.mark(this.item, "skipped", true);
    this.next();
  }

  undo() {
    const entry = this.undoable.pop();
    if (!entry) { say("There is nothing to undo."); return; }
    this.release(entry);
    this.show(entry.at);
    this.send(async () => {
      if (entry.id) await withdraw(entry.id);
      say(`Taken back: ${entry.item.dataset.text}`);
    });
  }

  // One request after the other, so that what was said last counts.
  send(action, failed = () => {}) {
    this.sending = this.sending.then(action).catch((error) => { failed(); wrong(error); });
  }

  mark(item, outcome, isSkipped = false) {
    const line = find("[data-outcome]", item);
    item.classList.add("done");
    line.textContent = outcome;
    line.hidden = false;
    line.classList.toggle("skipped", isSkipped);
    this.count();
  }

  unmark(entry) {
    this.undoable = this.undoable.filter((other) => other !== entry);
    this.release(entry);
  }

  release(entry) {
    entry.item.classList.remove("done");
    find("[data-outcome]", entry.item).hidden = true;
    this.count();
  }

  count() {
    const done = this.items.filter((item) => item.classList.contains("done")).length;
    find("#progress").value = done;
    find("#counter").textContent = `${done} of ${this.items.length}`;
  }

  // What was learned a moment ago may have changed the answer that is shown next.
  refresh(item) {
    this.send(async () => {
      if (item.classList.contains("done")) return;
      const found = await ask("/v1/classify", { method: "POST", body: { taxonomy: own.key, texts: [item.dataset.text] } });
      if (!item.classList.contains("done")) this.fill(item, found.answers[0]);
    });
  }

  fill(item, answer) {
    if ((answer.code ?? "") === item.dataset.code && answer.path.length && sameShares(item, answer)) return;
    item.dataset.code = answer.code ?? "";
    const path = made("ol", "path", ...answer.path.map((step) => made("li", "",
      made("span", "code", step.code), made("span", "label", step.label), meter(step.confidence), made("span", "number", perCent(step.confidence)))));
    find("[data-now]", item).replaceChildren(answer.path.length ? path : made("p", "none", "No answer"));
    find("[data-confirm]", item).disabled = !answer.code;
    find("[data-alternatives]", item).replaceChildren(...answer.alternatives.slice(0, 9).map((other, place) => {
      const button = made("button", "", made("kbd", "", String(place + 1)), " ", made("span", "code", other.code), " ",
        made("span", "label", other.label), " ", made("span", "number", perCent(other.confidence)));
      Object.assign(button.dataset, { choose: other.code, label: other.label });
      return made("li", "", button);
    }));
  }

  explain() {
    const item = this.item;
    const box = find("[data-why]", item);
    if (!box.hidden) { box.hidden = true; return; }
    ask("/v1/classify", { method: "POST", body: { taxonomy: own.key, texts: [item.dataset.text], explain: true } }).then((found) => {
      box.replaceChildren(made("h3", "", "Why"), reasons(found.answers[0]));
      box.hidden = false;
    }).catch(wrong);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, summary, a")) return;
    // Enter on a button presses the button.
    if (event.key === "Enter" && event.target.closest("button")) return;
    const actions = {
      j: () => this.show(this.at + 1), ArrowDown: () => this.show(this.at + 1),
      k: () => this.show(this.at - 1), ArrowUp: () => this.show(this.at - 1),
      Enter: () => (find("#finished").hidden ? this.confirm() : location.reload()),
      s: () => this.skip(), u: () => this.undo(), e: () => this.explain(),
      "/": () => find("[data-picker] input", this.item)?.focus(),
    };
    const digit = /^[1-9]$/.test(event.key) && all("[data-choose]", this.item)[Number(event.key) - 1];
    if (digit) { event.preventDefault(); digit.click(); return; }
    const canLearn = find("[data-confirm]", this.item) || ["j", "k", "e", "ArrowDown", "ArrowUp"].includes(event.key);
    if (event.key in actions && canLearn && !(event.repeat && event.key.length === 1 && !"jk".includes(event.key))) {
      event.preventDefault();
      actions[event.key]();
    }
  }
}

function meter(share) {
  const bar = made("meter", "meter");
  Object.assign(bar, { min: 0, max: 1, value: share });
  bar.setAttribute("aria-label", perCent(share));
  return bar;
}

function sameShares(item, answer) {
  const shown = all("[data-now] .path .number", item).map((cell) => cell.textContent);
  return shown.join() === answer.path.map((step) => perCent(step.confidence)).join();
}

function reasons(answer) {
  return made("ol", "reasons", ...answer.reasons.map((step) => {
    const facts = made("dl", "");
    const fact = (name, text) => facts.append(made("dt", "", name), made("dd", "", text));
    if (step.runner_up) fact("Runner-up", `${step.runner_up.code} ${step.runner_up.label} ${perCent(step.runner_up.confidence)}`);
    if (step.deciding_view) fact("Decided by", step.deciding_view.replaceAll("_", " "));
    fact("Nearest text", `“${step.nearest_text.text}” (${step.nearest_text.view})`);
    if (step.nearest_correction) fact("Nearest correction", `“${step.nearest_correction.text}” (${step.nearest_correction.code})`);
    return made("li", "", made("h3", "", `${step.chosen.code} ${step.chosen.label} ${perCent(step.chosen.confidence)}`), facts);
  }));
}

// Growth: the actions of a candidate.
function startCandidate(card) {
  const outcome = find("[data-outcome]", card);
  const decide = (action, more = {}) => ask(`${base}/decisions`, { method: "POST", body: { key: card.dataset.candidate, action, ...more } })
    .then((found) => {
      card.classList.add("done");
      all("button, input", card).forEach((part) => { part.disabled = true; });
      outcome.textContent = found.message + (found.job_id ? " The taxonomy is being built." : "");
      outcome.hidden = false;
      say(found.message);
    }).catch(wrong);
  all("[data-decide]", card).forEach((button) => button.addEventListener("click", () => {
    const preferred = find("[data-preferred]", card)?.value.trim();
    if (button.dataset.decide !== "name") decide(button.dataset.decide);
    else if (preferred) decide("name", { preferred });
    else { say("Type the other name first."); find("[data-preferred]", card).focus(); }
  }));
  const [parent, alias] = all("[data-picker]", card);
  if (parent) new Picker(parent, (node) => decide("add", { parent_code: node.code }));
  if (alias) new Picker(alias, (node) => decide("alias", { code: node.code }));
  find("[data-try]", card)?.addEventListener("click", (event) => {
    event.target.disabled = true;
    ask(`${base}/candidates/${encodeURIComponent(card.dataset.candidate)}/trial`)
      .then((found) => find("[data-trial]", card).replaceChildren(made("strong", "", "Trial:"), ` ${found.sentence}.`))
      .catch((error) => { event.target.disabled = false; wrong(error); });
  });
}

function start() {
  const box = find("[data-submit]");
  box?.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); box.form.requestSubmit(); }
  });
  const answer = find("[data-answer]");
  if (answer) startClassify(answer);
  const queue = find("#queue");
  if (queue) new Queue(queue);
  all("[data-candidate]").forEach(startCandidate);
  all("[data-undecide]").forEach((button) => button.addEventListener("click", () => {
    button.disabled = true;
    ask(`${base}/decisions/${encodeURIComponent(button.dataset.undecide)}`, { method: "DELETE" })
      .then((found) => { say(found.message); location.reload(); }).catch((error) => { button.disabled = false; wrong(error); });
  }));
  all("[data-withdraw]").forEach((button) => button.addEventListener("click", () => {
    button.disabled = true;
    withdraw(button.dataset.withdraw).then(() => {
      button.closest("li").classList.add("done");
      say("Taken back.");
    }).catch((error) => { button.disabled = false; wrong(error); });
  }));
}

start();
