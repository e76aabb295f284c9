// Refreshes the table while somebody looks at it, and stops a session when its button was pressed twice.
"use strict";
(() => {
  const page = document.getElementById("page");
  const table = document.getElementById("table");
  const away = document.getElementById("away");
  const told = document.getElementById("told");
  const asked = document.getElementById("asked");
  const { connection, stopHeader } = page.dataset;
  const everyMs = Number(page.dataset.refreshS) * 1000;
  const ANSWER_MS = 60000;
  const stopped = new Set();
  let stopping = 0;
  let askedAt = performance.now();

  const answerOf = async (response) => {
    let answer = {};
    try {
      answer = await response.json();
    } catch {
      // What stands in front of Airflow answers in its own words.
    }
    if (!response.ok) {
      throw new Error(answer.sentence || `Airflow answered ${response.status}. This page asks again by itself.`);
    }
    return answer;
  };

  const sentenceOf = (error) =>
    error instanceof TypeError ? "Airflow does not answer. This page asks again by itself." : error.message;

  const tell = (sentence, isBad) => {
    const line = document.createElement("li");
    line.textContent = sentence;
    line.className = isBad ? "bad" : "good";
    told.prepend(line);
    while (told.children.length > 5) {
      told.lastElementChild.remove();
    }
  };

  const rows = () => [...table.querySelectorAll("tr[data-uuid]")];

  const draw = () => {
    // An older answer may still list what was stopped since.
    rows().filter((row) => stopped.has(row.dataset.uuid)).forEach((row) => row.remove());
    // Behind Airflow's base URL, which may have a path of its own.
    const base = location.pathname.replace(/\/octaspace\/.*$/u, "");
    table.querySelectorAll("a[data-path]").forEach((link) => {
      link.href = base + link.dataset.path;
    });
  };

  const drawTime = () => {
    const at = new Date(asked.dateTime);
    asked.textContent = `as of ${at.toLocaleTimeString()}, every ${everyMs / 1000} s`;
  };

  const refresh = async () => {
    askedAt = performance.now();
    try {
      const response = await fetch(`sessions?connection=${encodeURIComponent(connection)}`, {
        headers: { Accept: "application/json" },
        cache: "no-store",
      });
      const answer = await answerOf(response);
      if (isBusy()) {
        return;
      }
      // The server has escaped every text in it.
      table.innerHTML = answer.table;
      asked.dateTime = answer.asked_at;
      away.hidden = true;
      table.classList.remove("old");
      draw();
      drawTime();
    } catch (error) {
      away.textContent = sentenceOf(error);
      away.hidden = false;
      table.classList.add("old");
    }
  };

  const isBusy = () => stopping > 0 || table.querySelector(".sure:not([hidden])") !== null;

  const look = () => {
    if (!document.hidden && !isBusy() && performance.now() - askedAt >= everyMs) {
      void refresh();
    }
  };

  const ask = (cell, isSure) => {
    cell.querySelector(".stop").hidden = isSure;
    cell.querySelector(".sure").hidden = !isSure;
    // A key that is held down, or pressed twice, must not answer the question with yes.
    cell.querySelector(isSure ? ".keep" : ".stop").focus({ preventScroll: true });
  };

  const takeBack = (cell) => {
    // The page does not refresh while it asks, and who asked may have gone home.
    if (!cell.querySelector(".sure").hidden && !cell.querySelector(".really").disabled) {
      ask(cell, false);
    }
  };

  const stop = async (cell) => {
    const row = cell.closest("tr");
    stopping += 1;
    row.classList.add("stopping");
    row.querySelectorAll("button").forEach((button) => {
      button.disabled = true;
    });
    cell.querySelector(".really").textContent = "Stopping…";
    try {
      const response = await fetch("stop", {
        method: "POST",
        headers: { Accept: "application/json", "Content-Type": "application/json", [stopHeader]: "stop" },
        body: JSON.stringify({ connection, uuid: row.dataset.uuid }),
      });
      const answer = await answerOf(response);
      stopped.add(row.dataset.uuid);
      tell(answer.sentence, false);
      row.remove();
    } catch (error) {
      tell(sentenceOf(error), true);
      row.classList.remove("stopping");
      row.querySelectorAll("button").forEach((button) => {
        button.disabled = false;
      });
      cell.querySelector(".really").textContent = "Stop it";
      ask(cell, false);
    } finally {
      stopping -= 1;
    }
    if (!isBusy()) {
      await refresh();
    }
  };

  table.addEventListener("click", (event) => {
    const cell = event.target.closest("td.act");
    if (event.target.matches(".stop")) {
      ask(cell, true);
      setTimeout(takeBack, ANSWER_MS, cell);
    } else if (event.target.matches(".keep")) {
      ask(cell, false);
    } else if (event.target.matches(".really")) {
      void stop(cell);
    } else if (event.target.matches("a[data-path]") && window.parent !== window) {
      // The frame may not lead Airflow's page elsewhere; a link of that page may.
      event.preventDefault();
      const link = window.parent.document.createElement("a");
      link.href = event.target.href;
      link.click();
    }
  });
  document.addEventListener("visibilitychange", look);
  setInterval(look, 1000);
  draw();
  drawTime();
})();
