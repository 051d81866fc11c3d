package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"

	"tailscale.com/derp/derpserver"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
)

// relayOptions are the addresses of the relay and of the STUN server beside it.
type relayOptions struct{ derpAddr, stunAddr string }

// relay is a DERP server behind a certificate of its own. It can be stopped and
// started again on the same port, as the same relay.
type relay struct {
	addr        *net.TCPAddr
	certificate tls.Certificate
	key         key.NodePrivate
	logf        logger.Logf

	mu   sync.Mutex
	stop func() // nil while it is stopped
}

// startRelay returns a relay that listens on addr.
func startRelay(addr string, logf logger.Logf) (*relay, error) {
	certificate, err := selfSigned()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	r := &relay{addr: listener.Addr().(*net.TCPAddr), certificate: certificate, key: key.NewNode(), logf: logf}
	r.serve(listener)
	return r, nil
}

// serve turns HTTP/2 off: the relay protocol takes the connection over, which
// HTTP/2 does not allow.
func (r *relay) serve(listener net.Listener) {
	derp := derpserver.New(r.key, r.logf)
	server := &http.Server{
		Handler:           derpserver.AddWebSocketSupport(derp, derpserver.Handler(derp)),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{r.certificate}},
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:          logger.StdLogger(r.logf),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go server.ServeTLS(listener, "", "")
	r.stop = func() {
		server.Close()
		derp.Close()
	}
}

// set stops the relay and cuts all its connections, or starts it again.
func (r *relay) set(up bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if up == (r.stop != nil) {
		return nil
	}
	if !up {
		r.stop()
		r.stop = nil
		return nil
	}
	listener, err := net.Listen("tcp", r.addr.String())
	if err != nil {
		return err
	}
	r.serve(listener)
	return nil
}

// derpMapOf returns a map of one region with the relay at derp.
func derpMapOf(region int, derp *net.TCPAddr, stun *net.UDPAddr) *tailcfg.DERPMap {
	return &tailcfg.DERPMap{
		OmitDefaultRegions: true,
		Regions: map[int]*tailcfg.DERPRegion{
			region: {
				RegionID:   region,
				RegionCode: regionCode(region),
				RegionName: "lab",
				Nodes: []*tailcfg.DERPNode{{
					Name:             fmt.Sprintf("lab%d", region),
					RegionID:         region,
					HostName:         derp.IP.String(),
					IPv4:             derp.IP.String(),
					IPv6:             "none",
					DERPPort:         derp.Port,
					STUNPort:         stun.Port,
					STUNTestIP:       stun.IP.String(),
					InsecureForTests: true,
				}},
			},
		},
	}
}

// regionCode names region 1 "lab" and the others lab2, lab3, …
func regionCode(region int) string {
	if region == 1 {
		return "lab"
	}
	return fmt.Sprintf("lab%d", region)
}

func selfSigned() (tls.Certificate, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}
