package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"hearth.dev/meshlink/internal/codes"
)

// WarmDocument is the answer of POST /v1/warm.
type WarmDocument struct {
	OK        bool           `json:"ok"` // some upstream answered
	Upstreams []WarmUpstream `json:"upstreams"`
}

// WarmUpstream is one upstream, measured just now.
type WarmUpstream struct {
	Name  string     `json:"name"`
	Path  string     `json:"path"`
	RTTMs *float64   `json:"rttMs"`
	OK    bool       `json:"ok"`
	Code  codes.Code `json:"code,omitempty"` // why not
}

// serveWarm measures the ways now, within three seconds, so that a request that
// comes after a long rest finds them open.
func (s *StatusServer) serveWarm(w http.ResponseWriter, request *http.Request) {
	ctx, cancel := context.WithTimeout(request.Context(), statusTimeout)
	defer cancel()
	upstreams := s.config.Upstreams
	if name := request.URL.Query().Get("upstream"); name != "" {
		upstreams = slices.DeleteFunc(slices.Clone(upstreams), func(upstream Upstream) bool { return upstream.Name != name })
		if len(upstreams) == 0 {
			writeJSON(w, http.StatusNotFound, problemOf(codes.Fail(codes.UnknownUpstream, fmt.Sprintf("no upstream is called %q", name))))
			return
		}
	}
	document := WarmDocument{Upstreams: []WarmUpstream{}}
	for one := range s.paths.measureAll(ctx, upstreams) {
		document.OK = document.OK || one.result.OK
		document.Upstreams = append(document.Upstreams, s.warmUpstream(ctx, one))
	}
	slices.SortFunc(document.Upstreams, func(a, b WarmUpstream) int { return s.position(a.Name) - s.position(b.Name) })
	status := http.StatusOK
	if !document.OK {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, document)
}

func (s *StatusServer) warmUpstream(ctx context.Context, one measured) WarmUpstream {
	document := WarmUpstream{Name: one.upstream.Name, Path: "none", OK: one.result.OK}
	if !one.result.OK {
		document.Code = codes.From(one.result.Err).Code
		return document
	}
	way := Way{RTT: one.result.RTT, Measured: true}
	if status, trouble := s.networkMap(ctx); trouble == nil {
		if peer, known := status.Peer[one.result.Peer]; known {
			way = wayOf(Peer{PeerStatus: peer}, one.result)
		}
	}
	document.Path, document.RTTMs = way.Kind, way.rttMs()
	return document
}

func (s *StatusServer) position(name string) int {
	return slices.IndexFunc(s.config.Upstreams, func(upstream Upstream) bool { return upstream.Name == name })
}
