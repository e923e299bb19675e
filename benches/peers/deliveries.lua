-- For wrk: signed deliveries, each with an id of its own.
--   wrk ... -s deliveries.lua URL -- PATH FILE
-- FILE holds one delivery a line: the signature, a tab, the body.
local requests, count = {}, 0

function init(arguments)
  local path, file = arguments[1], assert(io.open(arguments[2], "rb"))
  for line in file:lines() do
    local signature, body = line:match("^(%S+)\t(.*)$")
    requests[#requests + 1] = {
      "POST " .. path .. " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: GitHub-Hookshot/044aadd\r\nAccept: */*\r\n" ..
        "Content-Type: application/json\r\nX-GitHub-Event: push\r\nX-GitHub-Hook-ID: 292430182\r\n" ..
        "X-Hub-Signature-256: " .. signature .. "\r\nContent-Length: " .. #body .. "\r\nX-GitHub-Delivery: ",
      "\r\n\r\n" .. body,
    }
  end
  file:close()
  local random = assert(io.open("/dev/urandom", "rb"))
  local bytes = random:read(6)
  random:close()
  begin = ""
  for at = 1, 6 do begin = begin .. string.format("%02x", bytes:byte(at)) end
end

function request()
  count = count + 1
  local it = requests[count % #requests + 1]
  return it[1] .. string.format("%s-%s-4000-8000-%012x", begin:sub(1, 8), begin:sub(9, 12), count) .. it[2]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"rate": %.1f, "p50": %.4f, "p99": %.4f, "refused": %d, "broken": %d}\n',
    summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
