package main

import (
	"context"
	"time"

	"hearth.dev/meshlink/internal/linklocal"
)

// NetDocument is the network below the tunnels.
type NetDocument struct {
	UDP  *bool  `json:"udp"`  // whether the relay answered over UDP; null until the first look
	IPv4 string `json:"ipv4"` // of the interfaces: usable, link-local or none
	IPv6 *bool  `json:"ipv6"` // whether the relay answered over IPv6; null until the first look
	// LinkLocalWorkaround is on, off, or hidden: wanted but without effect.
	LinkLocalWorkaround linklocal.State `json:"linkLocalWorkaround"`
	Rebinds             int64           `json:"rebinds"`
	MTU                 int             `json:"mtu"` // inside the tailnet, bytes
	RACK                bool            `json:"rack"`
}

func (s *StatusServer) netDocument(ctx context.Context) NetDocument {
	document := NetDocument{
		IPv4:                "none",
		LinkLocalWorkaround: s.facts.linkLocal,
		Rebinds:             rebinds(),
		MTU:                 s.facts.mtu,
		RACK:                s.config.Net.RACK && !s.config.without("rack"),
	}
	if addrs, err := linklocal.Addrs(); err == nil {
		document.IPv4 = linklocal.IPv4(addrs)
	}
	if member := s.tailnet.view().member; member != nil {
		if report := member.netcheck(ctx); report != nil {
			document.UDP, document.IPv6 = &report.UDP, &report.IPv6
		}
	}
	return document
}

// BulkDocument is the latest measurement of the way for large packets.
type BulkDocument struct {
	Verdict          BulkVerdict `json:"verdict"` // fine, slow, blackhole or unknown
	Bytes            int64       `json:"bytes"`   // that went both ways, or of the largest ping
	OK               bool        `json:"ok"`
	Ms               int64       `json:"ms"`
	At               time.Time   `json:"at"`
	LargestGoodBytes int         `json:"largestGoodBytes"` // UDP payload; 0 when not known
	Echo             bool        `json:"echo"`             // the home has an echo
}

// document returns nil before the first measurement.
func (r BulkResult) document() *BulkDocument {
	if r.At.IsZero() {
		return nil
	}
	return &BulkDocument{
		Verdict: r.Verdict, Bytes: r.Bytes, OK: r.Verdict == BulkFine || r.Verdict == BulkSlow,
		Ms: r.Took.Milliseconds(), At: r.At.UTC(), LargestGoodBytes: r.LargestGoodBytes, Echo: r.Echo,
	}
}

// bulkWarnings tells about every upstream that loses large packets.
func (s *StatusServer) bulkWarnings() []Warning {
	var warnings []Warning
	for _, upstream := range s.config.Upstreams {
		if warning := s.bulk.Latest(upstream.Name).warning(upstream.Name, s.facts.mtu); warning != nil {
			warnings = append(warnings, *warning)
		}
	}
	return warnings
}
