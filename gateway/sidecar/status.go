package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"tailscale.com/ipn/ipnstate"

	"hearth.dev/meshlink/internal/codes"
	"hearth.dev/meshlink/internal/gap"
)

const statusTimeout = 3 * time.Second

// StatusServer answers probes and people. It shows names and addresses of the
// tailnet, so it belongs on a port that the public cannot reach. The node's own
// control interface is never exposed.
type StatusServer struct {
	config  Config
	tailnet *Tailnet
	connect *ConnectServer
	paths   *PathProber
	book    *PeerBook
	tunnels *TunnelTable
	sleep   *gap.Detector
	bulk    *BulkProber
	facts   netFacts
	metrics *Metrics
	started time.Time
}

// handler returns the routes of the status port.
func (s *StatusServer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, map[string]any{"ok": true}) })
	mux.HandleFunc("GET /startupz", s.answerWith(s.startup))
	mux.HandleFunc("GET /readyz", s.answerWith(s.ready))
	mux.HandleFunc("GET /v1/status", s.serveStatus)
	mux.HandleFunc("GET /v1/tunnels/{id}", s.serveTunnel)
	mux.HandleFunc("POST /v1/warm", s.serveWarm)
	mux.HandleFunc("GET /metrics", s.serveMetrics)
	mux.HandleFunc("POST /v1/drain", func(w http.ResponseWriter, _ *http.Request) {
		s.connect.Drain()
		writeJSON(w, http.StatusOK, map[string]any{"draining": true})
	})
	return mux
}

// answerWith answers 200 when check passes, and 503 with the code when not.
func (s *StatusServer) answerWith(check func(context.Context) *codes.Error) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		ctx, cancel := context.WithTimeout(request.Context(), statusTimeout)
		defer cancel()
		if trouble := check(ctx); trouble != nil {
			writeJSON(w, http.StatusServiceUnavailable, problemOf(trouble))
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{"ok": true})
	}
}

// startup: in the tailnet, an upstream's peer is in the network map, and the node
// can be reached (it chose a home relay, or a ping was answered).
func (s *StatusServer) startup(ctx context.Context) *codes.Error {
	status, trouble := s.networkMap(ctx)
	if trouble != nil {
		return trouble
	}
	present := false
	answered := false
	for _, upstream := range s.config.Upstreams {
		present = present || len(candidates(upstream, status)) > 0
		answered = answered || s.paths.latest(upstream.Name).OK
	}
	switch {
	case !present:
		return codes.Fail(codes.PeerMissing, "no upstream has a peer in the tailnet")
	case !answered && status.Self.Relay == "":
		return codes.Fail(codes.NotReady, "no home relay was chosen yet and no ping was answered")
	}
	return nil
}

// networkMap does not wait for a start to finish: probes ask again.
func (s *StatusServer) networkMap(ctx context.Context) (*ipnstate.Status, *codes.Error) {
	view := s.tailnet.view()
	if view.member == nil {
		return nil, view.trouble
	}
	status, err := view.member.networkMap(ctx)
	if err != nil {
		return nil, codes.Fail(codes.NotReady, err.Error())
	}
	return status, nil
}

func (s *StatusServer) serveStatus(w http.ResponseWriter, request *http.Request) {
	ctx, cancel := context.WithTimeout(request.Context(), statusTimeout)
	defer cancel()
	writeJSON(w, http.StatusOK, s.document(ctx))
}

func (s *StatusServer) serveTunnel(w http.ResponseWriter, request *http.Request) {
	end := s.tunnels.find(request.PathValue("id"))
	status := http.StatusOK
	if end.State == "unknown" || end.State == "foreign" {
		status = http.StatusNotFound
	}
	writeJSON(w, status, end)
}

func (s *StatusServer) serveMetrics(w http.ResponseWriter, request *http.Request) {
	ctx, cancel := context.WithTimeout(request.Context(), statusTimeout)
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	s.metrics.write(w)
	status, _ := s.networkMap(ctx)
	s.writeRoad(w, status)
	s.bulk.write(w)
	if member := s.tailnet.view().member; member != nil {
		if text, err := member.client.UserMetrics(ctx); err == nil {
			w.Write(text)
		}
	}
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}
