package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// servedHome answers at the home's port 80: a greeting, an upload that counts its
// bytes, and the echo when the home has one.
type servedHome struct {
	uploaded atomic.Int64 // bytes of uploads so far
	echoes   atomic.Int64 // requests to /-/echo
}

func serveHome(t *testing.T, l *lab, withEcho bool) *servedHome {
	t.Helper()
	home := new(servedHome)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	mux.HandleFunc("POST /upload", func(w http.ResponseWriter, request *http.Request) {
		io.Copy(countingWriter{&home.uploaded}, request.Body)
		io.WriteString(w, "done")
	})
	mux.HandleFunc("/-/echo", func(w http.ResponseWriter, request *http.Request) {
		home.echoes.Add(1)
		if !withEcho || request.Host != "vllm.home" || request.Method != http.MethodPost {
			http.NotFound(w, request)
			return
		}
		echo(w, request)
	})
	server := &http.Server{Handler: mux}
	go server.Serve(l.backend)
	t.Cleanup(func() { server.Close() })
	return home
}

type countingWriter struct{ count *atomic.Int64 }

func (w countingWriter) Write(p []byte) (int, error) {
	w.count.Add(int64(len(p)))
	return len(p), nil
}

// through returns a client whose connections are tunnels of s.
func (s *sidecar) through(name string) *http.Client {
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return s.open(name), nil }}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (s *sidecar) hello() {
	s.t.Helper()
	response, err := s.through("gpu").Get("http://home/hello")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); string(body) != "hello" || err != nil {
		s.t.Fatalf("the home said %q, %v", body, err)
	}
}

// awaitDirect waits for the way without a relay: only that one has datagrams to lose.
func (s *sidecar) awaitDirect() {
	s.t.Helper()
	until(s.t, "the way is direct", 10*time.Second, func() bool {
		s.hello()
		return s.document().Upstreams[0].Path == "direct"
	})
}

// upload sends size bytes and returns when all of it was taken, or ctx ended.
func (s *sidecar) upload(ctx context.Context, size int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://home/upload", bytes.NewReader(make([]byte, size)))
	if err != nil {
		return err
	}
	response, err := s.through("gpu").Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// awaitBulk returns the first measurement of the direct way to an upstream. Asking
// /readyz keeps the path itself measured.
func (s *sidecar) awaitBulk(upstream int) BulkDocument {
	s.t.Helper()
	var bulk *BulkDocument
	until(s.t, "the direct way is measured", 30*time.Second, func() bool {
		s.statusCode("/readyz")
		bulk = s.document().Upstreams[upstream].Bulk
		return bulk != nil && bulk.LargestGoodBytes > 0
	})
	return *bulk
}

// needsWire skips where the lab cannot make its wire worse.
func needsWire(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the lab loses datagrams by a socket filter, which only Linux has")
	}
}

func TestAWireThatLosesLargePacketsIsFoundAndTheAdvisedMTUCuresIt(t *testing.T) {
	needsWire(t)
	l := startLab(t, "--wire-bytes-max", "1250")
	home := serveHome(t, l, true)
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	s := startReadySidecar(t, l.env("MESH_BULK=auto", "MESH_UPSTREAMS=gpu=tag:gpu:80"))
	s.awaitDirect()
	ended := make(chan error, 1)
	go func() { ended <- s.upload(ctx, 1<<20) }()

	bulk := s.awaitBulk(0)
	if bulk.Verdict != BulkBlackhole || bulk.OK || bulk.LargestGoodBytes != 1250 {
		t.Fatalf("bulk: %+v, want a black hole for more than 1250 bytes", bulk)
	}
	s.hello()
	select {
	case err := <-ended:
		t.Fatalf("the upload ended (%v); with this wire it must hang", err)
	default:
	}
	if got := home.uploaded.Load(); got > 64<<10 {
		t.Fatalf("%d bytes of the upload arrived over a wire that loses every full packet", got)
	}
	advice := ""
	for _, warning := range s.document().Warnings {
		if warning.Code == "mtu_blackhole" {
			advice = warning.Fix
		}
	}
	if !strings.Contains(advice, "MESH_MTU=1216 ") {
		t.Fatalf("the advice is %q, want MESH_MTU=1216", advice)
	}
	_, metrics := s.get("/metrics")
	for _, part := range []string{`meshlink_bulk_probes_total{upstream="gpu",verdict="blackhole"} 1`, `meshlink_bulk_largest_good_bytes{upstream="gpu"} 1250`} {
		if !strings.Contains(metrics, part) {
			t.Errorf("/metrics has no %s", part)
		}
	}
	giveUp()
	<-ended

	cured := startReadySidecar(t, l.env("MESH_BULK=auto", "MESH_UPSTREAMS=gpu=tag:gpu:80", "MESH_MTU=1216"))
	cured.awaitDirect()
	inTime, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := cured.upload(inTime, 1<<20); err != nil {
		t.Fatalf("with the advised MTU the upload failed: %v", err)
	}
	if bulk := cured.awaitBulk(0); bulk.Verdict != BulkFine || bulk.LargestGoodBytes != 1216+wireGuardBytes || !bulk.Echo {
		t.Errorf("bulk with the advised MTU: %+v", bulk)
	}
	if net := cured.document().Net; net.MTU != 1216 || net.UDP == nil || !*net.UDP || net.IPv4 == "none" || net.LinkLocalWorkaround != "off" || !net.RACK {
		t.Errorf("net: %+v", net)
	}
}

func TestAWholeBodyGoesToTheEchoOfTheHomeAndBack(t *testing.T) {
	l := startLab(t)
	serveHome(t, l, true)
	s := startReadySidecar(t, l.env("MESH_BULK=auto", "MESH_UPSTREAMS=gpu=tag:gpu:80"))
	if bulk := s.awaitBulk(0); bulk.Verdict != BulkFine || !bulk.OK || !bulk.Echo || bulk.Bytes != 256<<10 || bulk.LargestGoodBytes != 1312 {
		t.Errorf("bulk: %+v, want 256 KiB both ways", bulk)
	}
}

func TestAHomeWithoutAnEchoIsJudgedByPingsAndAskedOnce(t *testing.T) {
	l := startLab(t)
	home := serveHome(t, l, false)
	s := startReadySidecar(t, l.env("MESH_BULK=auto", "MESH_UPSTREAMS=gpu=tag:gpu:80,again=name:home-gpu:80"))
	for upstream := range 2 {
		if bulk := s.awaitBulk(upstream); bulk.Verdict != BulkFine || bulk.Echo || bulk.Bytes != 1312 {
			t.Errorf("bulk of upstream %d: %+v, want fine by pings alone", upstream, bulk)
		}
	}
	if got := home.echoes.Load(); got != 2 {
		t.Errorf("the echo was asked %d times, want once for each upstream", got)
	}
}

func TestBulkProbesAreSwitchedOffByVariableAndByTheLab(t *testing.T) {
	l := startLab(t)
	home := serveHome(t, l, true)
	pinging := startReadySidecar(t, l.env("MESH_BULK=auto", "MESH_UPSTREAMS=gpu=tag:gpu:80", "MESH_BULK=ping"))
	off := startReadySidecar(t, l.env("MESH_BULK=auto", "MESH_UPSTREAMS=gpu=tag:gpu:80", "MESH_BULK=off"))
	without := startReadySidecar(t, l.env("MESH_BULK=auto", "MESH_UPSTREAMS=gpu=tag:gpu:80"), "--without", "bulk,rack")
	if bulk := pinging.awaitBulk(0); bulk.Verdict != BulkFine || bulk.Echo {
		t.Errorf("bulk by pings: %+v", bulk)
	}
	measuring := startReadySidecar(t, l.env("MESH_BULK=auto", "MESH_UPSTREAMS=gpu=tag:gpu:80"))
	before := home.echoes.Load()
	measuring.awaitBulk(0) // it started last: by now the others would have measured, too
	if before > 0 || home.echoes.Load() == 0 {
		t.Errorf("the echo was asked %d times without, and %d times with bulk probes", before, home.echoes.Load())
	}
	for _, s := range []*sidecar{off, without} {
		if bulk := s.document().Upstreams[0].Bulk; bulk != nil {
			t.Errorf("bulk although it is off: %+v", bulk)
		}
	}
	if without.document().Net.RACK || !off.document().Net.RACK {
		t.Error("net.rack does not follow --without rack")
	}
}
