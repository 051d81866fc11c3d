// The lab program is a whole tailnet on loopback for tests and for npm start:
// no account, no root, no TUN, nothing leaves the machine.
//
//	lab control --addr 127.0.0.1:0 --auth-key KEY --tags tag:gpu,tag:gateway [--admin-addr 127.0.0.1:0]
//	lab home --control-url URL --auth-key KEY --hostname home-gpu --tags tag:gpu \
//	         --dir DIR --forward 80=127.0.0.1:8000
//	lab derp --addr 127.0.0.1:0 --stun-addr 127.0.0.1:0    a relay for another control plane
//
// A restarted control plane forgets every node; with the same ports it keeps its
// addresses, and home and meshlink see its new key and register again by
// themselves. A restarted home with the same --dir is the same node with the
// same address as long as the control plane lived on; --fresh makes it a new one.
//
// With --admin-addr a running control plane takes faults by HTTP (see admin), and
// prints the address as adminUrl.
//
// Each prints one JSON line on standard output when it is ready; logs go to
// standard error. SIGTERM ends all at once; so does the end of standard input
// with --exit-with-parent.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"tailscale.com/envknob"
	"tailscale.com/net/netns"

	"hearth.dev/meshlink/internal/stop"
)

const usage = `usage: lab control [flags] | lab home [flags] | lab derp [flags]   (lab VERB --help lists the flags)`

func main() {
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	slog.SetDefault(logger)
	err := run(os.Args[1:], logger)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		logger.Error(err.Error())
		os.Exit(1)
	}
}

func run(args []string, logger *slog.Logger) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	keepOffline()
	switch args[0] {
	case "control":
		options, err := parseControl(args[1:])
		if err != nil {
			return err
		}
		return runControl(stop.Context(options.exitWithParent), options, logger)
	case "home":
		options, err := parseHome(args[1:])
		if err != nil {
			return err
		}
		return runHome(stop.Context(options.exitWithParent), options, logger)
	case "derp":
		options, err := parseDERP(args[1:])
		if err != nil {
			return err
		}
		return runDERP(stop.Context(options.exitWithParent), options, logger)
	default:
		return fmt.Errorf("unknown verb %q\n%s", args[0], usage)
	}
}

// keepOffline makes sure that nothing of Tailscale's code reaches for the world.
func keepOffline() {
	netns.SetEnabled(false)
	envknob.SetNoLogsNoSupport()
	envknob.Setenv("TS_PANIC_IF_HIT_MAIN_CONTROL", "1")
	envknob.Setenv("TS_DISABLE_PORTMAPPER", "1")
	envknob.Setenv("TS_ASSUME_NETWORK_UP_FOR_TEST", "1")
}

// announce prints the one line that tells the caller that the part is ready.
func announce(line any) error {
	return json.NewEncoder(os.Stdout).Encode(line)
}

func splitTags(value string) []string {
	var tags []string
	for tag := range strings.SplitSeq(value, ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			tags = append(tags, tag)
		}
	}
	return tags
}

// ended tells an asked-for end, which is a success, from a failure.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
