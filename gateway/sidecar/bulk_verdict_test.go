package main

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestTheVerdictFollowsTheEvidence(t *testing.T) {
	const need = 1312
	whole := pingEvidence{answered: true, need: need, largest: need}
	narrow := pingEvidence{answered: true, need: need, largest: 1200}
	relayed := pingEvidence{need: need}
	for _, test := range []struct {
		name  string
		pings pingEvidence
		echo  echoEvidence
		want  BulkVerdict
	}{
		{"nothing is known", relayed, echoEvidence{}, BulkUnknown},
		{"full-size pings pass and nobody asked the echo", whole, echoEvidence{}, BulkFine},
		{"full-size pings pass and the home has no echo", whole, echoEvidence{outcome: echoNone}, BulkFine},
		{"full-size pings pass and the echo failed for another reason", whole, echoEvidence{outcome: echoFailed}, BulkFine},
		{"full-size pings are lost", narrow, echoEvidence{}, BulkBlackhole},
		{"pings are lost but a whole body came back", narrow, echoEvidence{outcome: echoPassed, bytes: 256 << 10, took: time.Second}, BulkFine},
		{"only the way back is narrow", whole, echoEvidence{outcome: echoStalled}, BulkBlackhole},
		{"over the relay a whole body came back", relayed, echoEvidence{outcome: echoPassed, bytes: 256 << 10, took: time.Second}, BulkFine},
		{"over the relay without an echo", relayed, echoEvidence{outcome: echoNone}, BulkUnknown},
		{"it came back in five seconds", whole, echoEvidence{outcome: echoPassed, bytes: 256 << 10, took: 5 * time.Second}, BulkSlow},
		{"it crawled", whole, echoEvidence{outcome: echoCrawled}, BulkSlow},
	} {
		if got := judgeBulk(test.pings, test.echo); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestTheAdvisedMTUFitsIntoWhatPassed(t *testing.T) {
	for largest, want := range map[int]int{1312: 1280, 1272: 1232, 1250: 1216, 1200: 1168, 608: 576, 607: 0, 0: 0, 9000: 1500} {
		if got := adviseMTU(largest); got != want {
			t.Errorf("%d bytes passed: MESH_MTU=%d, want %d", largest, got, want)
		}
	}
}

func TestTheWarningOfABlackHoleSaysWhatToSet(t *testing.T) {
	for _, test := range []struct {
		name   string
		result BulkResult
		want   string
	}{
		{"narrow", BulkResult{Verdict: BulkBlackhole, LargestGoodBytes: 1200, AdviceMTU: 1168}, "MESH_MTU=1168"},
		{"hopeless", BulkResult{Verdict: BulkBlackhole, LargestGoodBytes: 300}, "No MTU from 576"},
		{"the way back", BulkResult{Verdict: BulkBlackhole, LargestGoodBytes: 1312}, "the MTU at home"},
		{"by the echo alone", BulkResult{Verdict: BulkBlackhole}, "the MTU at home"},
	} {
		warning := test.result.warning("gpu", 1280)
		if warning == nil || warning.Code != "mtu_blackhole" || !strings.Contains(warning.Fix, test.want) {
			t.Errorf("%s: %+v, want a fix with %q", test.name, warning, test.want)
		}
	}
	if warning := (BulkResult{Verdict: BulkFine, LargestGoodBytes: 1312}).warning("gpu", 1280); warning != nil {
		t.Errorf("a good way is warned about: %+v", warning)
	}
}

func TestAWayIsMeasuredWhenItWorksWhenItChangesAndDuringTraffic(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	direct := PathResult{OK: true, Endpoint: "192.0.2.1:41641"}
	other := PathResult{OK: true, Endpoint: "192.0.2.2:41641"}
	relayed := PathResult{OK: true, Derp: "fra"}
	ago := func(age time.Duration, verdict BulkVerdict) BulkResult {
		return BulkResult{At: now.Add(-age), Verdict: verdict}
	}
	for _, test := range []struct {
		name            string
		sight, measured bulkSight
		latest          BulkResult
		want            bool
	}{
		{"no way yet", bulkSight{}, bulkSight{}, BulkResult{}, false},
		{"the first good one", bulkSight{path: direct}, bulkSight{}, BulkResult{}, true},
		{"the way was lost", bulkSight{}, bulkSight{path: direct}, ago(time.Hour, BulkFine), false},
		{"just measured", bulkSight{direct, 5}, bulkSight{direct, 0}, ago(time.Second, BulkFine), false},
		{"ten minutes with traffic", bulkSight{direct, 5}, bulkSight{direct, 0}, ago(10*time.Minute, BulkFine), true},
		{"two minutes after a black hole", bulkSight{direct, 5}, bulkSight{direct, 0}, ago(2*time.Minute, BulkBlackhole), true},
		{"two minutes after a good one", bulkSight{direct, 5}, bulkSight{direct, 0}, ago(2*time.Minute, BulkFine), false},
		{"an hour without", bulkSight{direct, 5}, bulkSight{direct, 5}, ago(time.Hour, BulkFine), false},
		{"another endpoint", bulkSight{other, 5}, bulkSight{direct, 5}, ago(time.Minute, BulkFine), true},
		{"it flaps", bulkSight{other, 5}, bulkSight{direct, 5}, ago(5*time.Second, BulkFine), false},
		{"from the relay to direct, judged by the echo", bulkSight{direct, 5}, bulkSight{relayed, 5}, ago(6*time.Second, BulkFine), true},
		{"from direct to the relay", bulkSight{relayed, 5}, bulkSight{direct, 5}, ago(6*time.Second, BulkFine), false},
		{"from the relay to direct, not judged", bulkSight{direct, 5}, bulkSight{relayed, 5}, ago(time.Second, BulkUnknown), true},
	} {
		if got := bulkDue(now, test.sight, test.measured, test.latest); got != test.want {
			t.Errorf("%s: due=%v, want %v", test.name, got, test.want)
		}
	}
}

// wireOf answers pings as a wire would that carries UDP payloads of up to bytesMax
// and loses a share of all.
func wireOf(bytesMax int, lose float64) *sizedPinger {
	return &sizedPinger{timeout: time.Millisecond, send: func(_ context.Context, size int) (bool, time.Duration) {
		return size <= bytesMax && rand.Float64() >= lose, time.Millisecond
	}}
}

func TestSizedPingsFindTheLargestSizeThatPasses(t *testing.T) {
	for bytesMax, want := range map[int]int{9000: 1312, 1312: 1312, 1311: 1311, 1250: 1250, 700: 700, 129: 129} {
		got := wireOf(bytesMax, 0).measure(t.Context(), 1312)
		if !got.answered || got.largest != want {
			t.Errorf("a wire of %d bytes: %+v, want %d", bytesMax, got, want)
		}
	}
}

func TestALossyWireIsNotTakenForANarrowOne(t *testing.T) {
	wrong := 0
	for range 1000 {
		got := wireOf(9000, 0.3).measure(t.Context(), 1312)
		if got.answered && got.largest < got.need {
			wrong++
		}
	}
	if wrong > 0 {
		t.Errorf("%d of 1000 measurements took a wire that loses 30 %% for a narrow one", wrong)
	}
}

func TestAWayThatNobodyAnswersOverUDPSaysNothingAboutSizes(t *testing.T) {
	pings := (&sizedPinger{send: func(context.Context, int) (bool, time.Duration) { return false, 0 }}).measure(t.Context(), 1312)
	if pings.answered || judgeBulk(pings, echoEvidence{}) != BulkUnknown {
		t.Errorf("%+v, want no answer and the verdict unknown", pings)
	}
}
