package gap

import (
	"testing"
	"time"
)

func TestOnlyALongPauseOfTheWallClockIsASleep(t *testing.T) {
	start := time.Now()
	for _, test := range []struct {
		name  string
		looks []time.Duration // after the start
		want  int
	}{
		{"a first look long after the start", []time.Duration{time.Hour}, 0},
		{"looks on time", []time.Duration{0, time.Second, 2 * time.Second}, 0},
		{"a look that is late on a busy machine", []time.Duration{0, 5 * time.Second}, 0},
		{"a look after a sleep", []time.Duration{0, 5001 * time.Millisecond}, 1},
		{"two sleeps", []time.Duration{0, 10 * time.Second, 11 * time.Second, time.Hour}, 2},
		{"a clock that was set back", []time.Duration{time.Hour, 0, time.Second}, 0},
	} {
		thaws := 0
		detector := New(func(time.Duration) { thaws++ })
		for _, after := range test.looks {
			detector.Look(start.Add(after))
		}
		if count, _ := detector.Seen(); thaws != test.want || count != test.want {
			t.Errorf("%s: %d thaws called and %d counted, want %d", test.name, thaws, count, test.want)
		}
	}
}

func TestALookSaysWhenTheProcessWokeUpAndForHowLongItSlept(t *testing.T) {
	start := time.Now()
	woke := start.Add(time.Minute)
	detector := New(func(time.Duration) {})
	if thawed := detector.Look(start); !thawed.IsZero() {
		t.Errorf("awake from the beginning, but thawed at %s", thawed)
	}
	detector.Look(woke)
	if thawed := detector.Look(woke.Add(time.Second)); !thawed.Equal(woke) {
		t.Errorf("thawed at %s, want %s", thawed, woke)
	}
	if _, last := detector.Seen(); last != time.Minute {
		t.Errorf("slept %s, want a minute", last)
	}
}

// A machine that slept has a monotonic clock that did not go on meanwhile.
func TestASleepIsSeenWhereTheMonotonicClockStoodStill(t *testing.T) {
	detector := New(func(time.Duration) {})
	monotonic := time.Now()
	detector.Look(monotonic.Round(0).Add(-time.Hour)) // wall time of an hour ago
	if thawed := detector.Look(monotonic); thawed.IsZero() {
		t.Error("an hour of sleep was not seen")
	}
}

func TestADetectorThatIsOffSeesNothing(t *testing.T) {
	detector := Off()
	detector.Look(time.Now())
	if thawed := detector.Look(time.Now().Add(time.Hour)); !thawed.IsZero() {
		t.Errorf("thawed at %s", thawed)
	}
}
