// The page stands in a frame of Airflow's, which keeps its theme under this name.
"use strict";
(() => {
  const show = () => {
    let theme = null;
    try {
      theme = localStorage.getItem("theme");
    } catch {
      // A browser that keeps nothing has the system's theme.
    }
    document.documentElement.dataset.theme = theme === "light" || theme === "dark" ? theme : "system";
  };
  show();
  window.addEventListener("storage", show);
})();
