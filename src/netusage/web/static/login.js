// A link with the token behind "#" logs in by itself: what stands there never leaves the browser but in the form.
const form = document.querySelector("form");
const why = document.getElementById("why");
const asked = new URLSearchParams(location.search);

if (asked.has("wrong")) why.textContent = "This is not the token.";
if (asked.has("wait")) why.textContent = "Too many wrong tokens: wait for a minute, then try again.";
form.action = "/login?next=" + encodeURIComponent(asked.get("next") || "/");
const given = decodeURIComponent(location.hash.slice(1));
if (given && !asked.has("wrong") && !asked.has("wait")) {
  history.replaceState(null, "", location.pathname + location.search);
  document.getElementById("token").value = given;
  form.requestSubmit();
}
