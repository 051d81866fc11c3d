package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"tailscale.com/net/stunserver"
	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/logger"
)

const magicDNSDomain = "lab.test"

type controlOptions struct {
	addr, adminAddr string
	relay           relayOptions
	authKey         string
	tags            []string
	exitWithParent  bool
	verbose         bool
}

func parseControl(args []string) (controlOptions, error) {
	var options controlOptions
	var tags string
	flags := flag.NewFlagSet("lab control", flag.ContinueOnError)
	flags.StringVar(&options.addr, "addr", "127.0.0.1:0", "address of the control plane")
	flags.StringVar(&options.adminAddr, "admin-addr", "", "address of the switchboard of faults; empty is none")
	flags.StringVar(&options.relay.derpAddr, "derp-addr", "127.0.0.1:0", "address of the DERP relay (TLS)")
	flags.StringVar(&options.relay.stunAddr, "stun-addr", "127.0.0.1:0", "address of the STUN server (UDP)")
	flags.StringVar(&options.authKey, "auth-key", "", "the one auth key that nodes must bring; empty lets every node in")
	flags.StringVar(&tags, "tags", "tag:gpu,tag:gateway", "tags that nodes may carry, separated by commas")
	flags.BoolVar(&options.exitWithParent, "exit-with-parent", false, "end when standard input ends")
	flags.BoolVar(&options.verbose, "verbose", false, "log what the control plane and the relay say")
	if err := flags.Parse(args); err != nil {
		return options, err
	}
	options.tags = splitTags(tags)
	return options, nil
}

// runControl serves control, DERP and STUN until ctx ends.
func runControl(ctx context.Context, options controlOptions, log *slog.Logger) error {
	logf := logfOf(options.verbose, log)
	relay, stun, err := startRelayAndSTUN(ctx, options.relay, logf)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", options.addr)
	if err != nil {
		return fmt.Errorf("--addr %s: %w", options.addr, err)
	}
	controlURL := "http://" + listener.Addr().String()
	derpMap := func(region int) *tailcfg.DERPMap { return derpMapOf(region, relay.addr, stun) }
	faults := newFaults(derpMap(1))
	control := newControl(controlURL, options, derpMap(1), logf)
	streams := newStreams(control, faults)
	control.AltMapStream, control.MaybeRateLimitRegister = streams.serve, faults.rateLimit
	line := map[string]any{
		"ready":      true,
		"controlUrl": controlURL,
		"derpAddr":   relay.addr.String(),
		"stunAddr":   stun.String(),
	}
	failed := make(chan error, 2)
	go func() { failed <- serveHTTP(listener, control) }()
	if options.adminAddr != "" {
		adminListener, err := net.Listen("tcp", options.adminAddr)
		if err != nil {
			return fmt.Errorf("--admin-addr %s: %w", options.adminAddr, err)
		}
		line["adminUrl"] = "http://" + adminListener.Addr().String()
		go func() { failed <- serveHTTP(adminListener, (&admin{faults, streams, relay, derpMap}).handler()) }()
	}
	if err := announce(line); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return ended(ctx, err)
	}
}

func serveHTTP(listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(listener)
}

// startRelayAndSTUN serves both until the process ends.
func startRelayAndSTUN(ctx context.Context, options relayOptions, logf logger.Logf) (*relay, *net.UDPAddr, error) {
	stun := stunserver.New(ctx)
	if err := stun.Listen(options.stunAddr); err != nil {
		return nil, nil, fmt.Errorf("--stun-addr %s: %w", options.stunAddr, err)
	}
	go stun.Serve()
	relay, err := startRelay(options.derpAddr, logf)
	if err != nil {
		return nil, nil, fmt.Errorf("--derp-addr %s: %w", options.derpAddr, err)
	}
	return relay, stun.LocalAddr().(*net.UDPAddr), nil
}

func logfOf(verbose bool, log *slog.Logger) logger.Logf {
	if !verbose {
		return logger.Discard
	}
	return func(format string, args ...any) { log.Info(fmt.Sprintf(format, args...)) }
}

func newControl(url string, options controlOptions, derpMap *tailcfg.DERPMap, logf logger.Logf) *testcontrol.Server {
	owners := map[string][]string{}
	for _, tag := range options.tags {
		owners[tag] = []string{}
	}
	return &testcontrol.Server{
		Logf:             logf,
		DERPMap:          derpMap,
		DNSConfig:        &tailcfg.DNSConfig{Proxied: true},
		MagicDNSDomain:   magicDNSDomain,
		ExplicitBaseURL:  url,
		RequireAuthKey:   options.authKey,
		AllNodesSameUser: true,
		TagOwners:        owners,
	}
}
