// Asks for what is shown first while the modules are still on their way. No module itself, as those wait for each other.
window.early = new Map();
{
  const ask = (path, parameters) => {
    const url = `/api/v1${path}?${new URLSearchParams(parameters)}`;
    const answer = fetch(url, { headers: { accept: "application/json" } });
    // who takes it sees the failure too
    answer.catch(() => {});
    window.early.set(url, answer);
    return answer;
  };
  ask("/sites", { limit: 200 }).then((response) => response.clone().json()).then(({ default: site_id }) => {
    if (!site_id) return;
    ask("/pages/top", { site_id, limit: 100 });
    ask("/site", { site_id, limit: 240 });
  }).catch(() => {});
}
