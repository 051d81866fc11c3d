package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hearth.dev/meshlink/internal/gap"
)

func TestTheEchoOfTheHomeIsJudgedByWhatComesBack(t *testing.T) {
	// The server sees that its client left only once the body was read.
	nothing := func(_ http.ResponseWriter, request *http.Request) {
		io.Copy(io.Discard, request.Body)
		<-request.Context().Done()
	}
	large := func(request *http.Request) bool { return request.ContentLength > echoSmallBytes }
	for _, test := range []struct {
		name  string
		serve http.HandlerFunc
		want  echoOutcome
	}{
		{"all of it", echo, echoPassed},
		{"no such route", http.NotFound, echoNone},
		{"a page instead", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, echoNone},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, echoNone},
		{"a failure", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, echoFailed},
		{"a cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, echoFailed},
		{"nothing at all, even of a small one", nothing, echoFailed},
		{"the small one alone", func(w http.ResponseWriter, request *http.Request) {
			if large(request) {
				nothing(w, request)
				return
			}
			echo(w, request)
		}, echoStalled},
		{"the large one in drops", func(w http.ResponseWriter, request *http.Request) {
			if request.ContentLength < echoBulkBytes {
				echo(w, request)
				return
			}
			body, _ := io.ReadAll(request.Body)
			ticker := time.NewTicker(10 * time.Millisecond)
			defer ticker.Stop()
			for ; len(body) > 0 && request.Context().Err() == nil; body = body[1:] {
				w.Write(body[:1])
				http.NewResponseController(w).Flush()
				<-ticker.C
			}
		}, echoCrawled},
	} {
		server := httptest.NewUnstartedServer(test.serve)
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		server.Start()
		client := &echoClient{client: server.Client(), host: server.Listener.Addr().String(), fullTimeout: 500 * time.Millisecond, bulkTimeout: 500 * time.Millisecond}
		client.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		if got := client.measure(t.Context()); got.outcome != test.want {
			t.Errorf("%s: %q (%s), want %q", test.name, got.outcome, got.detail, test.want)
		}
		server.CloseClientConnections()
		server.Close()
	}
}

func TestWhoeverAsksAtOnceSharesOneMeasurementAndNoTwoRunTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu, exp := Upstream{Name: "gpu"}, Upstream{Name: "exp"}
		metrics := newMetrics([]Upstream{gpu, exp})
		prober := newBulkProber(Config{Net: NetConfig{Bulk: BulkAuto}}, nil, nil, newPathProber([]Upstream{gpu, exp}, nil, nil, nil, metrics, gap.Off()), metrics, slog.New(slog.DiscardHandler))
		var running, measurements atomic.Int64
		prober.measure = func(context.Context, Upstream) BulkResult {
			began := time.Now()
			if running.Add(1) > 1 {
				t.Error("two measurements run together")
			}
			defer running.Add(-1)
			measurements.Add(1)
			time.Sleep(time.Second)
			return BulkResult{Verdict: BulkBlackhole, At: began}
		}
		ask := func(upstream Upstream) {
			if got := prober.Probe(t.Context(), upstream); got.Verdict != BulkBlackhole {
				t.Errorf("%s: %s", upstream.Name, got.Verdict)
			}
		}
		go ask(gpu)
		time.Sleep(time.Millisecond) // in the clock of this test: until the first one measures
		for range 5 {
			go ask(gpu)
			go ask(exp)
		}
		hurried, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if got := prober.Probe(hurried, gpu); got.Verdict != BulkUnknown {
			t.Errorf("a caller who left got %s", got.Verdict)
		}
		time.Sleep(time.Minute)
		if got := measurements.Load(); got != 3 {
			t.Errorf("%d measurements, want one for the first, one for those who came during it, and one of the other upstream", got)
		}
		if got := prober.Latest("gpu").Verdict; got != BulkBlackhole {
			t.Errorf("the latest verdict is %q", got)
		}
	})
}
