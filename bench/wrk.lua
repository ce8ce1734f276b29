-- What wrk sends and what it says at its end, for all figures.
-- Arguments: a file of Authorization values, one a line, to be used in turns ("-": none); "close": a connection a request.

function init(arguments)
    local file, close = arguments[1], arguments[2]
    if close == "close" then
        wrk.headers["Connection"] = "close"
    end
    if not file or file == "-" then
        return
    end
    local ready = {}
    for line in io.lines(file) do
        wrk.headers["Authorization"] = line
        ready[#ready + 1] = wrk.format()
    end
    -- One credential alone stays in wrk.headers: wrk then sends it without asking Lua each time.
    if #ready > 1 then
        local turn = 0
        request = function()
            turn = turn % #ready + 1
            return ready[turn]
        end
    end
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        "figures requests=%d microseconds=%d p99=%d status=%d socket=%d\n",
        summary.requests, summary.duration, latency:percentile(99), errors.status,
        errors.connect + errors.read + errors.write + errors.timeout
    ))
end
