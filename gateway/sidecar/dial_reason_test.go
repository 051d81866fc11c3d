package main

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

func TestAPeerThatLetsEveryTryTimeOutGetsTheReasonThatFits(t *testing.T) {
	for _, test := range []struct {
		found silence
		want  codes.Code
	}{
		{silence{answersPings: true}, codes.ACLTimeout},
		{silence{answersPings: true, relayAway: true}, codes.ACLTimeout},
		{silence{relayAway: true}, codes.DERPUnreachable},
		{silence{relayAway: true, direct: true}, codes.DialTimeout},
		{silence{}, codes.DialTimeout},
		{silence{direct: true}, codes.DialTimeout},
	} {
		if got := test.found.code(); got != test.want {
			t.Errorf("%+v: %s, want %s", test.found, got, test.want)
		}
	}
}

func TestAPortBehindAnAccessRuleIsToldFromADeadHome(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	patient := startReadySidecar(t, l.env())
	hasty := startReadySidecar(t, l.env(), "--without", "dial-retries")
	l.fault("deny?node=home-gpu&port=80")
	took := map[*sidecar]time.Duration{}
	for _, s := range []*sidecar{hasty, patient} {
		began := time.Now()
		if _, status, code := s.connect("gpu"); status != 504 || code != codes.ACLTimeout {
			t.Errorf("the filtered port: %d %s, want 504 %s", status, code, codes.ACLTimeout)
		}
		took[s] = time.Since(began)
	}
	if 3*took[hasty] > took[patient] {
		t.Errorf("one try took %s, three took %s", took[hasty], took[patient])
	}
	if retried := hasty.document().Upstreams[0].Dials.Retried; retried != 0 {
		t.Errorf("%d retries without retries", retried)
	}
}

func TestAHomeThatOnlyTheRelayReachesIsNamedSoWhenTheRelayIsAway(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env(neverDirect))
	l.accepting()
	s.open("gpu")
	l.fault("derp")
	if _, status, code := s.connect("gpu"); status != 503 || code != codes.DERPUnreachable {
		t.Errorf("without the relay: %d %s, want 503 %s", status, code, codes.DERPUnreachable)
	}
	l.fault("derp?on=false")
	until(t, "the relay is back and with it the home", 30*time.Second, func() bool {
		conn, _, _ := s.connect("gpu")
		return conn != nil
	})
}

func (s *sidecar) warm(query string) (int, WarmDocument) {
	s.t.Helper()
	response, err := http.Post("http://"+s.status+"/v1/warm"+query, "", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var document WarmDocument
	if err := json.NewDecoder(response.Body).Decode(&document); err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, document
}

func TestWarmMeasuresNowAndSaysWhatItFound(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	status, document := s.warm("")
	if status != 200 || !document.OK || len(document.Upstreams) != 4 {
		t.Fatalf("%d %+v", status, document)
	}
	gpu, nobody := document.Upstreams[0], document.Upstreams[3]
	if gpu.Name != "gpu" || !gpu.OK || gpu.Path != "direct" || gpu.RTTMs == nil || gpu.Code != "" {
		t.Errorf("gpu is %+v", gpu)
	}
	if nobody.Name != "nobody" || nobody.OK || nobody.Code != codes.PeerMissing || nobody.Path != "none" {
		t.Errorf("nobody is %+v", nobody)
	}
	if status, _ := s.warm("?upstream=nosuch"); status != 404 {
		t.Errorf("an unknown upstream: %d", status)
	}
	l.fault("hold-streams")
	l.home.kill()
	began := time.Now()
	status, document = s.warm("?upstream=gpu")
	if status != 503 || document.OK || len(document.Upstreams) != 1 || document.Upstreams[0].Code != codes.DialTimeout {
		t.Errorf("a dead home: %d %+v", status, document)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the answer took %s", took)
	}
}
