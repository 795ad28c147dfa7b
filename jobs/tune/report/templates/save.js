(function () {
  const {columns, rows} = JSON.parse(document.getElementById("trials").textContent);
  const quoted = (cell) => /[",\n\r]/.test(cell) ? '"' + cell.replaceAll('"', '""') + '"' : cell;
  const formula = (cell) => /^[=+\-@\t\r]/.test(cell) && !/^[-+]?[0-9.]+([eE][-+]?[0-9]+)?$/.test(cell);
  const plain = (cell) => typeof cell === "string" && formula(cell) ? "'" + cell : String(cell);
  const line = (cells) => cells.map((cell) => cell === null ? "" : quoted(plain(cell))).join(",") + "\n";
  const object = (row) => JSON.stringify(Object.fromEntries(columns.map((name, at) => [name, row[at]])));
  const text = {
    "trials.csv": () => [columns, ...rows].map(line).join(""),
    "trials.json": () => "[\n" + rows.map(object).join(",\n") + "\n]\n",
  };
  for (const button of document.querySelectorAll("[data-save]")) button.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text[button.dataset.save]()]));
    link.download = button.dataset.save;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  });
})();
