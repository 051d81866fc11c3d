package main

import (
	"fmt"
	"time"
)

// BulkMode says how the way for large packets is measured.
type BulkMode string

const (
	BulkAuto BulkMode = "auto" // by pings and, where the home has it, by its echo
	BulkPing BulkMode = "ping" // by pings alone
	BulkOff  BulkMode = "off"
)

// BulkVerdict says how large transfers fare on the way to an upstream.
type BulkVerdict string

const (
	BulkFine BulkVerdict = "fine"
	BulkSlow BulkVerdict = "slow"
	// BulkBlackhole: small packets pass and large ones are lost, so that small
	// requests work and uploads hang.
	BulkBlackhole BulkVerdict = "blackhole"
	BulkUnknown   BulkVerdict = "unknown"
)

const (
	// wireGuardBytes is what WireGuard adds to a packet: header and seal.
	wireGuardBytes = 32
	// wireGuardUnit: packets are padded to a multiple of it, if the MTU lets them.
	wireGuardUnit = 16

	bulkSlowBytesPerSecond = 128 << 10
)

// pingEvidence is what sized pings showed. Sizes are payloads of UDP.
type pingEvidence struct {
	answered bool // small ones are answered over UDP, so that sizes mean something
	need     int  // of the largest packet that the tunnel makes
	largest  int  // the largest size that passed; 0 when not known
}

// echoOutcome is how a body sent to the home's echo came back.
type echoOutcome string

const (
	echoNotAsked echoOutcome = ""
	echoNone     echoOutcome = "none"    // the home has no echo
	echoFailed   echoOutcome = "failed"  // it says nothing about sizes
	echoPassed   echoOutcome = "passed"  // all of it came back
	echoCrawled  echoOutcome = "crawled" // it came, but not in time
	echoStalled  echoOutcome = "stalled" // a small one came back, full packets did not
)

type echoEvidence struct {
	outcome echoOutcome
	bytes   int64 // each way
	took    time.Duration
	detail  string
}

// judgeBulk says what the evidence means. A whole body that came back is the best
// proof; pings show only the way there, and the echo alone shows the way back.
func judgeBulk(pings pingEvidence, echo echoEvidence) BulkVerdict {
	switch {
	case echo.outcome == echoPassed && float64(2*echo.bytes) < bulkSlowBytesPerSecond*echo.took.Seconds():
		return BulkSlow
	case echo.outcome == echoPassed:
		return BulkFine
	case echo.outcome == echoCrawled:
		return BulkSlow
	case echo.outcome == echoStalled, pings.answered && pings.largest < pings.need:
		return BulkBlackhole
	case pings.answered:
		return BulkFine
	default:
		return BulkUnknown
	}
}

// adviseMTU returns the largest MESH_MTU whose packets pass where UDP payloads of
// up to largestGood bytes do, or zero when no allowed one does.
func adviseMTU(largestGood int) int {
	mtu := (largestGood - wireGuardBytes) / wireGuardUnit * wireGuardUnit
	if mtu < mtuMin {
		return 0
	}
	return min(mtu, mtuMax)
}

// BulkResult is the latest measurement of the way for large packets.
type BulkResult struct {
	Verdict          BulkVerdict
	At               time.Time // when it began
	Bytes            int64     // of the body that went both ways, or of the largest ping that passed
	Took             time.Duration
	LargestGoodBytes int    // UDP payload; 0 when not known
	Echo             bool   // the home has an echo
	AdviceMTU        int    // the MESH_MTU that would help; 0 for none
	Detail           string // inner names may be in it
}

func bulkResultOf(pings pingEvidence, echo echoEvidence, began time.Time, took time.Duration) BulkResult {
	result := BulkResult{
		Verdict: judgeBulk(pings, echo), At: began, Bytes: int64(pings.largest), Took: took,
		LargestGoodBytes: pings.largest, Detail: echo.detail,
		Echo: echo.outcome != echoNotAsked && echo.outcome != echoNone && echo.outcome != echoFailed,
	}
	if echo.outcome == echoPassed {
		result.Bytes, result.Took = echo.bytes, echo.took
	}
	if result.Verdict == BulkBlackhole && pings.largest < pings.need {
		result.AdviceMTU = adviseMTU(pings.largest)
	}
	return result
}

// warning tells an operator what to do, or nil while there is nothing to do.
func (r BulkResult) warning(upstream string, mtu int) *Warning {
	if r.Verdict != BulkBlackhole {
		return nil
	}
	lost := fmt.Sprintf("Packets of more than %d bytes are lost on the way to %s", r.LargestGoodBytes, upstream)
	fix := fmt.Sprintf("Set MESH_MTU=%d here, and the same MTU at home (ip link set dev tailscale0 mtu %d).", r.AdviceMTU, r.AdviceMTU)
	switch {
	case r.LargestGoodBytes == 0 || r.LargestGoodBytes >= mtu+wireGuardBytes:
		lost = "Large answers of " + upstream + " do not arrive"
		fix = "Lower MESH_MTU here (try 1200) and the MTU at home, and let ICMP \"fragmentation needed\" through the routers."
	case r.AdviceMTU == 0:
		fix = fmt.Sprintf("No MTU from %d on helps: find what drops such packets, or close UDP so that the relay is used.", mtuMin)
	}
	return &Warning{"mtu_blackhole", lost + ": small requests pass, large transfers hang.", fix}
}

// bulkSight is what decides whether to measure again.
type bulkSight struct {
	path  PathResult
	moved int64 // bytes through tunnels so far
}

const (
	bulkEvery = 10 * time.Minute // while there is traffic
	// bulkBadEvery is for a black hole: whoever mends it should see that soon.
	bulkBadEvery = time.Minute
	// A way that flaps is not measured all the time; one that left the relay, where
	// sizes do not matter, is measured soon.
	bulkChangeEvery  = 30 * time.Second
	bulkUpgradeEvery = 5 * time.Second
)

// bulkDue says whether the way should be measured now: once it works, after it
// changed, and every ten minutes (a black hole: every minute) while there is traffic.
// An idle one stays silent.
func bulkDue(now time.Time, sight, measured bulkSight, latest BulkResult) bool {
	age := now.Sub(latest.At)
	changed := sight.path.way() != measured.path.way()
	upgraded := changed && measured.path.Derp != "" && sight.path.Derp == ""
	switch {
	case !sight.path.OK:
		return false
	case latest.At.IsZero():
		return true
	case upgraded && age >= bulkUpgradeEvery:
		return true
	case changed && (latest.Verdict == BulkUnknown || age >= bulkChangeEvery):
		return true
	case sight.moved == measured.moved:
		return false
	case latest.Verdict == BulkBlackhole:
		return age >= bulkBadEvery
	default:
		return age >= bulkEvery
	}
}

// way names the kind of a path and its far end; the same text is the same way.
func (r PathResult) way() string {
	switch {
	case r.Endpoint != "":
		return "direct " + r.Endpoint
	case r.Relay != "":
		return "peer_relay " + r.Relay
	case r.Derp != "":
		return "derp " + r.Derp
	default:
		return "none"
	}
}
