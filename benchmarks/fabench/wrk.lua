-- What wrk sends, from the environment, and its results as one line of JSON.
-- FABENCH_METHOD, FABENCH_BODY, FABENCH_PIPELINE.

wrk.method = os.getenv("FABENCH_METHOD") or "GET"
local body = os.getenv("FABENCH_BODY") or ""
if body ~= "" then
  wrk.body = body
  wrk.headers["Content-Type"] = "application/json"
end

-- Only with pipelining is there a request function: without one wrk sends a constant
-- and runs no Lua at all while it measures.
local depth = tonumber(os.getenv("FABENCH_PIPELINE") or "1")
if depth > 1 then
  local batch
  function init(args) -- called by wrk.init once the Host field is set
    batch = string.rep(wrk.format(), depth)
  end
  function request()
    return batch
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\nFABENCH {"requests":%d,"duration_us":%d,"bytes":%d,"p50_us":%d,"p99_us":%d,' ..
    '"max_us":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
    summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99), latency.max,
    e.connect, e.read, e.write, e.status, e.timeout))
end
