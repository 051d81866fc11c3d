package main

import (
	"testing"
	"time"
)

// story is a peer's life as a list of looks, one a second unless said otherwise.
type story struct {
	name  string
	looks []storyLook
	want  verdict // of the last look
}

type storyLook struct {
	times    int
	after    time.Duration
	heard    bool
	lost     int // pings lost since the look before
	standing standing
}

func TestAPeerIsLostOnlyAfterSilenceThatWeWereAwakeForAndPingsThatWereLost(t *testing.T) {
	second := time.Second
	alive := storyLook{times: 5, after: second, heard: true}
	silent := func(times, lost int) storyLook { return storyLook{times: times, after: second, lost: lost} }
	for _, test := range []story{
		{"bytes come", []storyLook{alive}, peerAlive},
		{"two seconds of silence are nothing", []storyLook{alive, silent(2, 0)}, peerAlive},
		{"three seconds of silence are asked about", []storyLook{alive, silent(3, 0)}, peerAsked},
		{"silence with lost pings, just before the limit", []storyLook{alive, silent(11, 1)}, peerAsked},
		{"silence with lost pings until the limit", []storyLook{alive, silent(12, 1)}, peerLost},
		{"silence without a lost ping proves nothing", []storyLook{alive, silent(60, 0)}, peerAsked},
		{"a pong within the limit, as after a change of the path", []storyLook{alive, silent(8, 1), {times: 1, after: second, heard: true}, silent(8, 1)}, peerAsked},
		{"an hour of sleep and then silence", []storyLook{alive, {times: 1, after: time.Hour, lost: 3}}, peerAlive},
		{"an hour of sleep and then six seconds of silence", []storyLook{alive, {times: 1, after: time.Hour, lost: 3}, silent(6, 1)}, peerAsked},
		{"an hour of sleep and a home that died meanwhile", []storyLook{alive, {times: 1, after: time.Hour}, silent(10, 1)}, peerLost},
		{"a clock that was set back", []storyLook{alive, {times: 1, after: -time.Hour, lost: 3}, silent(6, 1)}, peerAsked},
		{"offline in the map, but bytes come", []storyLook{{times: 20, after: second, heard: true, standing: standsOffline}}, peerAlive},
		{"offline in the map is asked about at once", []storyLook{alive, {times: 1, after: second, standing: standsOffline}}, peerAsked},
		{"offline in the map and one lost ping", []storyLook{alive, {times: 1, after: second, standing: standsOffline}, {times: 1, after: second, lost: 1, standing: standsOffline}}, peerAsked},
		{"offline in the map and two lost pings", []storyLook{alive, {times: 1, after: second, standing: standsOffline}, {times: 2, after: second, lost: 1, standing: standsOffline}}, peerLost},
		{"pings that were lost before the map said offline do not count", []storyLook{alive, silent(5, 1), {times: 1, after: second, standing: standsOffline}}, peerAsked},
		{"missing from one map", []storyLook{alive, {times: 1, after: second, standing: standsGone}}, peerAlive},
		{"missing from two maps in a row", []storyLook{alive, {times: 2, after: second, standing: standsGone}}, peerLost},
		{"missing, back, missing", []storyLook{alive, {times: 1, after: second, standing: standsGone}, alive, {times: 1, after: second, standing: standsGone}}, peerAlive},
	} {
		if got := test.tell(); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func (s story) tell() (last verdict) {
	look := peerLook{now: time.Now()}
	watched := newPulse(look)
	for _, part := range s.looks {
		for range part.times {
			look.now = look.now.Add(part.after)
			look.lost += part.lost
			look.standing = part.standing
			if part.heard {
				look.heard++
			}
			watched, last = watched.next(look, 12*time.Second)
		}
	}
	return last
}
