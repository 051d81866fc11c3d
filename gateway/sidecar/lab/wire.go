package main

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
)

// wireOptions make the wire to this node worse than it is.
type wireOptions struct {
	bytesMax    int     // of a UDP payload; 0 lets every size pass
	losePercent float64 // of all datagrams; 0 loses none
}

const udpPayloadMax = 65507

func (o *wireOptions) addTo(flags *flag.FlagSet) {
	flags.Func("wire-bytes-max", "lose every UDP datagram to this node with more than N bytes of payload, without a word to the sender", func(value string) error {
		number, err := strconv.Atoi(value)
		if err != nil || number < 1 || number > udpPayloadMax {
			return fmt.Errorf("want bytes from 1 to %d", udpPayloadMax)
		}
		o.bytesMax = number
		return nil
	})
	flags.Func("lose-percent", "lose this share of the UDP datagrams to this node, by chance", func(value string) error {
		number, err := strconv.ParseFloat(value, 64)
		if err != nil || !(number > 0 && number < 100) {
			return errors.New("want more than 0 and less than 100")
		}
		o.losePercent = number
		return nil
	})
}

func (o wireOptions) worse() bool { return o.bytesMax > 0 || o.losePercent > 0 }
