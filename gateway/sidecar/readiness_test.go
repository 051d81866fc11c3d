package main

import (
	"testing"
	"time"
)

func TestAMeasuredWayCountsUntilSomethingSpeaksAgainstIt(t *testing.T) {
	now := time.Now()
	ago := func(s float64) time.Time { return now.Add(-time.Duration(s * float64(time.Second))) }
	good := PathResult{Began: ago(10.1), At: ago(10), OK: true}
	for _, test := range []struct {
		name    string
		result  PathResult
		against objections
		want    bool
	}{
		{"measured ten seconds ago", good, objections{standing: true}, true},
		{"never measured", PathResult{}, objections{standing: true}, false},
		{"measured in vain", PathResult{Began: ago(1), At: now}, objections{standing: true}, false},
		{"measured half a minute ago", PathResult{Began: ago(30), At: ago(30), OK: true}, objections{standing: true}, false},
		{"a dial failed before", good, objections{standing: true, failedAt: ago(11)}, true},
		{"a dial failed since", good, objections{standing: true, failedAt: ago(9)}, false},
		{"the peer is offline or gone", good, objections{}, false},
		{"the process slept before", good, objections{standing: true, thawedAt: ago(11)}, true},
		{"the process slept since", good, objections{standing: true, thawedAt: ago(9)}, false},
		{"the process slept while the ping was under way", good, objections{standing: true, thawedAt: ago(10.05)}, false},
	} {
		if got := stillGood(now, test.result, test.against); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
