package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

// sleepTime is longer than the detector's threshold.
const sleepTime = 8 * time.Second

// freeze stops meshlink, does what happens meanwhile, and lets it go on.
func (s *sidecar) freeze(meanwhile func()) {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGSTOP)
	stopped := time.Now()
	meanwhile()
	pauseFor(s.t.Context(), time.Until(stopped.Add(sleepTime)))
	s.cmd.Process.Signal(syscall.SIGCONT)
}

// ask sends a request for /readyz and returns how to read the answer: a stopped
// process finds it waiting when it wakes up.
func (s *sidecar) ask() (answer func() (int, string)) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.status)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, "GET /readyz HTTP/1.1\r\nHost: meshlink\r\nConnection: close\r\n\r\n")
	return func() (int, string) {
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			s.t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
}

func TestAfterASleepReadyIsNeverWrongAndWithoutTheDetectorItIs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		flags []string
		wrong bool
	}{
		{"with the detector", nil, false},
		{"without the detector", []string{"--without", "freeze-detector"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := startLab(t)
			s := startReadySidecar(t, l.env(), test.flags...)
			var answers []func() (int, string)
			s.freeze(func() {
				l.fault("hold-streams") // nobody tells of the death
				l.home.kill()
				for range 5 {
					answers = append(answers, s.ask())
				}
			})
			wrong := 0
			for thawed := time.Now(); time.Since(thawed) < 4*time.Second; answers = append(answers, s.ask()) {
				status, body := answers[0]()
				answers = answers[1:]
				if status == http.StatusOK {
					wrong++
				} else if !test.wrong && !strings.Contains(body, string(codes.Frozen)) {
					t.Errorf("/readyz says %d %s, want %s", status, body, codes.Frozen)
				}
			}
			if (wrong > 0) != test.wrong {
				t.Errorf("/readyz was wrong %d times, want that: %v", wrong, test.wrong)
			}
			if freeze := s.document().Freeze; (freeze.Count == 1) == test.wrong || freeze.Checking == test.wrong {
				t.Errorf("the status says %+v", freeze)
			}
		})
	}
}

func TestAfterASleepWithALivingHomeTheFirstTunnelOpensSoonAndReadyComesBack(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	l.accepting()
	old, _ := s.openNamed("gpu")
	s.freeze(func() {})
	thawed := time.Now()
	s.open("gpu")
	if took := time.Since(thawed); took > 3*time.Second {
		t.Errorf("the first tunnel after the sleep took %s", took)
	}
	until(t, "ready again", 3*time.Second, func() bool { return s.statusCode("/readyz") == 200 })
	freeze := s.document().Freeze
	if freeze.Count != 1 || freeze.LastGapS < sleepTime.Seconds()-1 || freeze.Checking {
		t.Errorf("the status says %+v after a sleep of %s", freeze, sleepTime)
	}
	old.Close()
}

func TestATunnelAskedForAfterASleepWithADeadHomeIsRefusedAsFrozenSoon(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	l.accepting()
	s.freeze(func() {
		l.fault("hold-streams")
		l.home.kill()
	})
	asked := time.Now()
	_, status, code := s.connect("gpu")
	if status != 503 || code != codes.Frozen {
		t.Errorf("CONNECT after the sleep: %d %s, want 503 %s", status, code, codes.Frozen)
	}
	if took := time.Since(asked); took > 4*time.Second {
		t.Errorf("the refusal took %s", took)
	}
	l.fault("hold-streams?on=false")
	l.startHome()
	until(t, "ready again", 10*time.Second, func() bool { return s.statusCode("/readyz") == 200 })
	s.open("gpu")
}

func TestAProbeEverySecondCostsNoPing(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env("MESH_UPSTREAMS=gpu=tag:gpu:80", "MESH_BULK=off"))
	pings := func() string {
		_, metrics := s.get("/metrics")
		for line := range strings.Lines(metrics) {
			if strings.HasPrefix(line, `meshlink_pings_total{result="ok"}`) {
				return line
			}
		}
		return ""
	}
	before := pings()
	for range 50 {
		if status := s.statusCode("/readyz"); status != 200 {
			t.Fatalf("/readyz: %d", status)
		}
	}
	if after := pings(); after != before || before == "" {
		t.Errorf("50 probes: %q became %q", before, after)
	}
}
