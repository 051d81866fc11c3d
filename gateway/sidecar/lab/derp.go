package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"

	"tailscale.com/tailcfg"
)

type derpOptions struct {
	relay                   relayOptions
	exitWithParent, verbose bool
}

func parseDERP(args []string) (derpOptions, error) {
	var options derpOptions
	flags := flag.NewFlagSet("lab derp", flag.ContinueOnError)
	flags.StringVar(&options.relay.derpAddr, "addr", "127.0.0.1:0", "address of the DERP relay (TLS)")
	flags.StringVar(&options.relay.stunAddr, "stun-addr", "127.0.0.1:0", "address of the STUN server (UDP)")
	flags.BoolVar(&options.exitWithParent, "exit-with-parent", false, "end when standard input ends")
	flags.BoolVar(&options.verbose, "verbose", false, "log what the relay says")
	return options, flags.Parse(args)
}

// runDERP serves a relay and STUN for another control plane until ctx ends. It
// announces the map of them as headscale reads it.
func runDERP(ctx context.Context, options derpOptions, log *slog.Logger) error {
	relay, stun, err := startRelayAndSTUN(ctx, options.relay, logfOf(options.verbose, log))
	if err != nil {
		return err
	}
	if err := announce(map[string]any{
		"ready": true, "derpAddr": relay.addr.String(), "stunAddr": stun.String(),
		"derpMap": derpYAML(derpMapOf(1, relay.addr, stun)),
	}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// derpYAML writes a map of one region as headscale's derp.paths wants it: the
// names of the fields in lower case.
func derpYAML(derpMap *tailcfg.DERPMap) string {
	region := derpMap.Regions[derpMap.RegionIDs()[0]]
	node := region.Nodes[0]
	return fmt.Sprintf(`regions:
  %d:
    regionid: %d
    regioncode: %s
    regionname: %s
    nodes:
      - name: %s
        regionid: %d
        hostname: %q
        ipv4: %q
        ipv6: none
        derpport: %d
        stunport: %d
        stuntestip: %q
        insecurefortests: true
`, region.RegionID, region.RegionID, region.RegionCode, region.RegionName, node.Name, node.RegionID,
		node.HostName, node.IPv4, node.DERPPort, node.STUNPort, net.ParseIP(node.STUNTestIP).String())
}
